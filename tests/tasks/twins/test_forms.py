"""Tests that have to fail, as text of several languages."""

import ast
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.patch import FILE
from tasks.twins.forms import TestFile, alike, drawn_name, failing, form_of


def made(path: str, text: str) -> dict[str, str]:
    changes = failing([TestFile(path, FILE, text)], random.Random(7))
    return {change.path: (change.content or b"").decode() for change in changes}


NAME = drawn_name(random.Random(7))


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("tests/twice.rs", "use twice::*;\n", "assert_eq!("),
        ("twice.spec.js", "test('a', () => { expect(one(1)).toBe(1); });\n", ").toBe("),
        ("test/a.test.mjs", "it('a', () => {\n  check.equal(1, 1);\n});\n", "check.equal("),
        ("twice_test.cpp", 'TEST_CASE("a") { REQUIRE(true); }\n', "REQUIRE(value =="),
        ("a_test.cc", "TEST(A, b) { EXPECT_TRUE(1); }\n", "EXPECT_EQ("),
        ("tests/test_a.py", "def test_a(): pass\n", "self.assertEqual("),
    ],
)
def test_each_language_has_tests_that_fail_in_its_own_words(
    path: str, text: str, said: str
) -> None:
    found = made(path, text)[path]
    assert found.startswith(text)
    assert said in found.removeprefix(text)
    assert NAME in found


def test_go_s_stands_before_the_others_in_the_package_that_they_are_in() -> None:
    found = made("a/twice_test.go", "// Package a is.\npackage a_test\n")
    assert list(found) == [f"a/aaa_{NAME}_test.go"]
    assert found.popitem()[1].startswith("package a_test\n")


def test_what_is_no_file_of_tests_stays_as_it_is() -> None:
    assert made("src/lib.rs", "fn a() {}\n") == {}
    assert made("twice.spec.js", "// nothing to see\n") == {}
    assert made("README.md", "test('a')") == {}


@given(st.text(alphabet=st.characters(codec="utf-8")), st.integers())
def test_python_s_come_before_what_ends_the_file(text: str, seed: int) -> None:
    source = f"x = {text!r}\n\nif __name__ == '__main__':\n    raise SystemExit\n"
    file = TestFile("test_a.py", FILE, source)
    (change,) = failing([file], random.Random(seed))
    body = ast.parse(change.content or b"").body
    assert isinstance(body[-1], ast.If)
    assert sum(isinstance(node, ast.ClassDef | ast.FunctionDef) for node in body) == 2
    (same,) = alike([file], random.Random(seed))
    assert ast.dump(ast.parse(same.content or b"")) == ast.dump(ast.parse(source))


@given(st.binary())
def test_bytes_that_are_no_text_are_kept(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    assert form_of("a_test.cpp") is not None
    (change,) = alike([TestFile("a_test.cpp", FILE, text)], random.Random(0))
    assert (change.content or b"").startswith(text.rstrip().encode("utf-8", "surrogateescape"))
