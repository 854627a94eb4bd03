"""Pairs of input and expected output in files of their own."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.twins.data import file_of, is_given_pairs, made_wrong
from tasks.twins.twin import TestModule

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.lists(st.tuples(JSON, JSON), min_size=1), st.integers())
def test_every_output_is_another_and_no_input(
    pairs: list[tuple[object, object]], seed: int
) -> None:
    content = "\n".join(json.dumps(pair) for pair in pairs).encode()
    made = made_wrong(content, random.Random(seed))
    assert made is not None
    found = [json.loads(line) for line in made.splitlines()]
    for (given_input, expected), (same, other) in zip(pairs, found, strict=True):
        assert same == given_input
        assert other != expected


@pytest.mark.parametrize("content", [b"", b"[1, 2, 3]\n", b"{}\n", b"3\n", b"[[\n", b"[" * 9_999])
def test_what_is_no_pairs_stays(content: bytes) -> None:
    assert made_wrong(content, random.Random(0)) is None


def test_the_file_has_the_name_of_the_module() -> None:
    paths = [
        "json_testcases/gcd.json",
        "json_testcases/sqrt.json",
        "data/test_a.json",
        "a/kth.json",
    ]
    assert file_of("python_testcases/test_gcd.py", paths) == "json_testcases/gcd.json"
    assert file_of("python_testcases/test_kth.py", paths) == ""
    assert file_of("tests/test_gcd.py", [*paths, "tests/gcd.json"]) == ""


@pytest.mark.parametrize(
    ("decorator", "given_pairs"),
    [
        ("pytest.mark.parametrize('input_data,expected', testdata)", True),
        ("pytest.mark.parametrize('input_data,expected', load(f.__name__))", True),
        ("pytest.mark.parametrize('input_data,expected', [(1, 2)])", False),
        ("pytest.mark.parametrize('a,b', testdata)", False),
        ("pytest.mark.parametrize('a,b,expected', testdata)", False),
        ("pytest.mark.parametrize('expected')", False),
        ("pytest.mark.slow", False),
    ],
)
def test_who_is_given_pairs(decorator: str, given_pairs: bool) -> None:
    module = TestModule(f"@{decorator}\ndef test_a(input_data, expected): pass\n".encode())
    assert is_given_pairs(module.functions["test_a"]) == given_pairs
