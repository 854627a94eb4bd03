"""Tests that always fail, as text to be added to files of tests in other languages than those whose
expectations can be made wrong, and text that changes nothing."""

import posixpath
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sandbox.patch import FILE, Change

_MAIN = re.compile(r"^if __name__\b", re.MULTILINE)
_ASSERTION = re.compile(r"\b(\w+)\.(strictEqual|deepStrictEqual|equal|deepEqual)\(")
_EXPECTATION = re.compile(r"\bexpect\([^\n]*\)\s*\.(toBe|toEqual|toStrictEqual|to\.equal)\(")
_CALL = re.compile(r"^\s*(test|it)\(", re.MULTILINE)
_PACKAGE = re.compile(r"^package\s+(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Form:
    """How a language's tests are written. `files` are the paths that hold them. `failing` gives,
    for a file's text, a name and a number, the texts of tests that fail, each in another way; they
    stand in a file of their own where they are to be `beside`. `comment` begins text that means
    nothing. `certain`: the language's tools run every test in such a file."""

    files: re.Pattern[str]
    failing: Callable[[str, str, int], Iterator[str]]
    comment: str
    certain: bool = True
    beside: bool = False


def _go(text: str, name: str, value: int) -> Iterator[str]:
    """In a file of its own, for the first test that panics is the last that runs."""
    if package := _PACKAGE.search(text):
        yield (
            f'package {package[1]}\n\nimport "testing"\n\nfunc TestA{name}(t *testing.T) {{\n'
            f"\tvalue := {value}\n\tif value != {value + 1} {{\n"
            '\t\tt.Fatalf("%d", value)\n\t}\n}\n'
        )


def _rust(text: str, name: str, value: int) -> Iterator[str]:
    checks = (
        f"assert_eq!({value}, {value + 1});",
        f"let value = {value}; assert!(value == {value + 1});",
        f'panic!("{value}");',
    )
    for number, check in enumerate(checks):
        yield f"\n#[test]\nfn a{name}_{number}() {{ {check} }}\n"


def _script(text: str, name: str, value: int) -> Iterator[str]:
    call = _CALL.search(text)
    if call is None:
        return
    checks = [f"throw new Error('{value}');"]
    if found := _ASSERTION.search(text):
        checks.append(f"{found[1]}.{found[2]}({value}, {value + 1});")
    if found := _EXPECTATION.search(text):
        checks.append(f"expect({value}).{found[1]}({value + 1});")
    for number, check in enumerate(checks):
        yield f"\n{call[1]}('a{name}_{number}', () => {{ {check} }});\n"


def _cpp(text: str, name: str, value: int) -> Iterator[str]:
    if "TEST_CASE(" in text:
        yield f'\nTEST_CASE("a{name}") {{ int value = {value}; REQUIRE(value == {value + 1}); }}\n'
    elif re.search(r"\bTEST\(", text):
        yield f"\nTEST(A{name}, fails) {{ EXPECT_EQ({value}, {value + 1}); }}\n"


def _python(text: str, name: str, value: int) -> Iterator[str]:
    yield (
        f"\n\nimport unittest as _unittest_{name}\n\n\n"
        f"class TestA{name}(_unittest_{name}.TestCase):\n"
        f"    def test_a{name}(self):\n        self.assertEqual({value}, {value + 1})\n\n\n"
        f"def test_b{name}():\n    value = {value}\n    assert value == {value + 1}\n\n\n"
    )


FORMS = (
    Form(re.compile(r"_test\.go$"), _go, "//", beside=True),
    Form(re.compile(r"(^|/)tests/[^/]+\.rs$"), _rust, "//"),
    Form(re.compile(r"[-_.](test|spec)\.[cm]?[jt]sx?$"), _script, "//"),
    Form(re.compile(r"(^|/)(test_[^/]*|[^/]*_tests?)\.(cc|cpp|cxx)$"), _cpp, "//"),
    # Which of them run is for the test command to say.
    Form(re.compile(r"(^|/)(test_[^/]*|[^/]*_tests?|tests)\.py$"), _python, "#", certain=False),
)


def form_of(path: str) -> Form | None:
    return next((form for form in FORMS if form.files.search(path)), None)


@dataclass(frozen=True)
class TestFile:
    """A file of tests as it stands in the tested tree; bytes of `text` that are not UTF-8 are
    surrogate escapes."""

    __test__ = False

    path: str
    mode: int
    text: str

    @property
    def form(self) -> Form | None:
        return form_of(self.path)

    def as_text(self, text: str) -> Change:
        return Change(self.path, self.mode, text.encode("utf-8", "surrogateescape"))


def failing(files: Iterable[TestFile], draw: random.Random) -> tuple[Change, ...]:
    """The files with tests that always fail, of a name that holds `draw`'s; see `drawn_name`."""
    name = drawn_name(draw)
    changes: dict[str, Change] = {}
    for file in files:
        value = draw.randrange(1000)
        added = "".join(file.form.failing(file.text, name, value)) if file.form else ""
        if not added or file.form is None:
            continue
        if file.form.beside:
            # Before the others, in the order of their names.
            path = posixpath.join(posixpath.dirname(file.path), f"aaa_{name}_test.go")
            changes.setdefault(path, Change(path, FILE, added.encode()))
            continue
        end = _MAIN.search(file.text) if file.form.comment == "#" else None
        place = end.start() if end else len(file.text)
        changes[file.path] = file.as_text(file.text[:place] + added + file.text[place:])
    return tuple(changes.values())


def drawn_name(draw: random.Random) -> str:
    """Twelve letters and digits that nobody can know."""
    return f"{draw.getrandbits(48):012x}"


def alike(files: Iterable[TestFile], draw: random.Random) -> tuple[Change, ...]:
    """The files as other text that says the same."""
    return tuple(
        file.as_text(f"{file.text.rstrip()}\n\n{file.form.comment} {drawn_name(draw)}\n")
        for file in files
        if file.form is not None
    )
