import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.arguments import ArgumentsCheck, BadArguments, nearest

PARAMETERS = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "start_line": {"type": "integer", "minimum": 1},
        "share": {"type": "number"},
        "all": {"type": "boolean"},
        "tests": {"type": "array", "items": {"type": "string"}},
        "mode": {"type": "string", "enum": ["quick", "full"]},
    },
    "required": ["path"],
    "additionalProperties": False,
}
CHECK = ArgumentsCheck(PARAMETERS, {"file": "path"})


def problem(raw: str) -> str:
    with pytest.raises(BadArguments) as caught:
        CHECK.check(raw)
    return str(caught.value)


def test_arguments_that_fit_come_back_unchanged_and_without_notes():
    values = {"path": "a.py", "start_line": 3, "share": 0.5, "all": True, "tests": ["t"]}
    checked = CHECK.check(json.dumps(values))
    assert checked.values == values
    assert checked.notes == ()


def test_a_missing_field_is_named_by_pointer_with_its_type():
    assert "- /path: required (string), but missing" in problem("{}")


def test_a_misspelt_field_names_the_nearest_one():
    text = problem('{"path": "a", "start_lin": 1}')
    assert '/start_lin: there is no such field; the nearest is "start_line"' in text


def test_a_missing_field_points_at_the_stray_one_that_looks_like_it():
    assert 'is it what you gave as "paths"?' in problem('{"paths": "a"}')


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ('{"path": ["a", "b"]}', '/path: expected string; array ["a", "b"] came'),
        ('{"path": "a", "start_line": "x"}', '/start_line: expected integer; string "x" came'),
        ('{"path": "a", "start_line": 0}', "/start_line: expected at least 1; integer 0 came"),
        ('{"path": "a", "mode": "slow"}', 'expected one of "quick", "full"; string "slow" came'),
        ('{"path": "a", "tests": ["t", 3]}', "/tests/1: expected string; integer 3 came"),
        ('{"path": "a", "start_line": true}', "expected integer; boolean true came"),
        ('{"path": null}', "/path: expected string; null came"),
    ],
)
def test_a_wrong_value_is_told_by_pointer_expectation_and_what_came(raw, said):
    assert said in problem(raw)


def test_several_problems_are_all_listed():
    text = problem('{"start_line": "x", "alll": 1}')
    assert "/path" in text
    assert "/start_line" in text
    assert "/alll" in text


@pytest.mark.parametrize(
    ("raw", "expected", "noted"),
    [
        ('{"path": "a", "start_line": "3"}', {"path": "a", "start_line": 3}, "integer 3"),
        ('{"path": "a", "all": "True"}', {"path": "a", "all": True}, "boolean true"),
        ('{"path": "a", "share": "0.5"}', {"path": "a", "share": 0.5}, "number 0.5"),
        ('{"path": "a", "tests": "t1"}', {"path": "a", "tests": ["t1"]}, "array"),
        ('{"path": "a", "tests": "[\\"t1\\"]"}', {"path": "a", "tests": ["t1"]}, "array"),
        ('{"path": 7}', {"path": "7"}, 'string "7"'),
        ('"{\\"path\\": \\"a\\"}"', {"path": "a"}, "inside a JSON string"),
        ('{"arguments": {"path": "a"}}', {"path": "a"}, "inside another object"),
        ('```json\n{"path": "a"}\n```', {"path": "a"}, "code fence"),
        ('{"path": "a\nb"}', {"path": "a\nb"}, "line breaks"),
        ('{"file": "a"}', {"path": "a"}, '"file" was read as "path"'),
        ('{"path": "a", "startLine": 2}', {"path": "a", "start_line": 2}, "startLine"),
    ],
)
def test_a_call_with_one_fitting_reading_is_repaired_and_says_so(raw, expected, noted):
    checked = CHECK.check(raw)
    assert checked.values == expected
    assert any(noted in note for note in checked.notes)


def test_an_alias_beside_the_field_itself_is_not_guessed_about():
    assert "/file: there is no such field" in problem('{"file": "a", "path": "b"}')


def test_a_number_in_words_is_not_repaired():
    assert "expected integer" in problem('{"path": "a", "start_line": "three"}')


def test_a_value_with_two_fitting_readings_is_not_repaired():
    field = {"type": ["boolean", "array"], "items": {"type": "string"}}
    check = ArgumentsCheck({"type": "object", "properties": {"x": field}}, {})
    with pytest.raises(BadArguments, match='expected boolean or array; string "true" came'):
        check.check('{"x": "true"}')


def test_null_for_an_optional_field_means_that_it_was_left_out():
    assert CHECK.check('{"path": "a", "start_line": null}').values == {"path": "a"}


def test_a_whole_number_written_as_a_float_arrives_as_an_integer():
    value = CHECK.check('{"path": "a", "start_line": 3.0}').values["start_line"]
    assert isinstance(value, int)


def test_empty_text_stands_for_no_arguments():
    check = ArgumentsCheck({"type": "object", "properties": {}}, {})
    assert check.check("  ").values == {}


def test_invalid_json_is_told_by_place_and_surroundings():
    text = problem('{"path": "a" "start_line": 3}')
    assert "line 1, column 14 (character 13 of 29)" in text
    assert '{"path": "a" >>>HERE>>>"start_line": 3}' in text


def test_json_that_was_cut_off_says_so():
    assert "if it was cut off" in problem('{"path": "abc')


def test_single_quotes_get_a_word_on_double_quotes():
    assert "double quotes" in problem("{'path': 'a'}")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("[1]", "one JSON object; array [1] came"),
        ('"hello"', 'string "hello" came'),
        ("null", "null came"),
        ('{"path": "a", "path": "b"}', "given twice"),
        ('{"path": NaN}', "NaN"),
        ('{"share": 1e999}', "too large"),
        ('{"share": ' + "1" * 5000 + "}", "cannot be read"),
        ("[" * 100_000, "nested"),
        ('{"path": ' + "[" * 100 + "]" * 100 + "}", "nested"),
        ('{"path": "\\ud83d"}', "half of a surrogate pair"),
    ],
)
def test_json_that_no_handler_could_use_is_refused_in_words(raw, said):
    assert said in problem(raw)


def test_a_schema_that_is_none_is_refused_when_the_check_is_built():
    with pytest.raises(ValueError, match="not a JSON Schema"):
        ArgumentsCheck({"type": "objekt"}, {})
    with pytest.raises(ValueError, match="of type object"):
        ArgumentsCheck({"type": "string"}, {})
    with pytest.raises(ValueError, match="aliases"):
        ArgumentsCheck({"type": "object", "properties": {}}, {"x": "y"})


def test_the_signature_marks_optional_fields():
    assert CHECK.signature().startswith("path: string, start_line?: integer, share?: number")
    assert "tests?: array of strings" in CHECK.signature()


def test_nearest_ignores_case():
    assert nearest("READ_FILE", ["shell", "read_file", "write_file"])[0] == "read_file"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELD_VALUES = st.dictionaries(
    st.sampled_from([*PARAMETERS["properties"], "file", "x"]), JSON_VALUES, max_size=6
)


@given(raw=st.text() | st.builds(json.dumps, JSON_VALUES | FIELD_VALUES))
def test_any_text_gives_fitting_arguments_or_a_readable_refusal(raw):
    try:
        checked = CHECK.check(raw)
    except BadArguments as error:
        assert 0 < len(str(error)) < 3000
    else:
        again = CHECK.check(json.dumps(checked.values))
        assert again.values == checked.values
        assert again.notes == ()
