import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.jsonc import loads

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["//", "/*", ",}", '"']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
GAPS = st.sampled_from(
    [
        "",
        " ",
        "\n",
        "\t",
        "// a, }\n",
        '// "\n',
        "/* , ] */",
        "/* // */",
        '/*\n"\n*/',
        "/**/",
        "//\n",
    ]
)


@st.composite
def written(draw: st.DrawFn, value: object) -> str:
    """A value as a person may write it, with comments and trailing commas anywhere."""

    def gap() -> str:
        return "".join(draw(st.lists(GAPS, max_size=2)))

    if isinstance(value, list):
        parts, ends = [draw(written(item)) for item in value], "[]"
    elif isinstance(value, dict):
        parts = [f"{json.dumps(k)}{gap()}:{draw(written(item))}" for k, item in value.items()]
        ends = "{}"
    else:
        return f"{gap()}{json.dumps(value)}{gap()}"
    more = "," if parts and draw(st.booleans()) else ""
    return f"{gap()}{ends[0]}{gap()}{','.join(parts)}{more}{gap()}{ends[1]}{gap()}"


@given(st.data())
def test_comments_and_trailing_commas_change_nothing(data: st.DataObject) -> None:
    value = data.draw(VALUES)
    assert loads(data.draw(written(value))) == value


@given(VALUES, st.sampled_from([None, 2]))
def test_plain_json_is_read_as_ever(value: object, indent: int | None) -> None:
    assert loads(json.dumps(value, indent=indent, ensure_ascii=False)) == value


@given(st.text(st.sampled_from('/*"\\,]}[{:\n 1a')))
def test_any_other_text_is_a_value_error(text: str) -> None:
    try:
        loads(text)
    except ValueError as problem:
        assert str(problem)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,,]", '{"a": 1,, }', "/* open [1]", '["open]', "[1] 2", "// []"],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        loads(text)


def test_an_error_names_the_line_of_the_file() -> None:
    with pytest.raises(ValueError, match="line 4"):
        loads('{\n/* a\ncomment */ "a": 1,\n"b" 2}')


@pytest.mark.parametrize("text", ["[" * 100_000, "/*" * 100_000, '"\\' * 100_000, ", " * 100_000])
def test_a_hostile_file_ends_soon(text: str) -> None:
    with pytest.raises(ValueError, match=r"line|nested"):
        loads(text)
