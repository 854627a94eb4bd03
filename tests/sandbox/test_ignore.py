import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.ignore import IgnoreRules, readable_lines


def test_rules_of_a_folder_outrank_those_above_it() -> None:
    rules = IgnoreRules((("", ("*.log",)), ("keep", ("!*.log",))))
    assert rules.ignores("a.log")
    assert rules.ignores("other/a.log")
    assert not rules.ignores("keep/a.log")


def test_later_entries_of_the_same_folder_outrank_earlier_ones() -> None:
    rules = IgnoreRules((("", ("*.log",)), ("", ("!a.log",))))
    assert not rules.ignores("a.log")
    assert rules.ignores("b.log")


def test_nothing_comes_back_below_an_ignored_folder() -> None:
    rules = IgnoreRules((("", ("build/", "!build/keep")),))
    assert rules.ignores("build/keep")
    assert not rules.ignores("build")
    assert rules.ignores("build", folder=True)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 30 + "*b", "a" * 250),
        ("**/a/" * 30 + "b", "a/" * 2000 + "c"),
        ("a**" * 40, "a" * 250),
    ],
)
def test_many_stars_take_no_time_without_end(pattern: str, path: str) -> None:
    assert IgnoreRules((("", (pattern,)),)).ignores(path) == (pattern[-1] == "*")


@pytest.mark.parametrize("line", [b"x" + b" " * 200_000 + b"y", b"x" * 200_000, b"[" * 200_000])
def test_long_lines_take_no_time_without_end(line: bytes) -> None:
    assert not IgnoreRules((("", readable_lines(line)),)).ignores("x")


def test_names_beyond_ascii_match_themselves() -> None:
    rules = IgnoreRules((("", ("é*.log", "latin-\udce9")),))
    assert rules.ignores("tiefe/é1.log")
    assert rules.ignores("latin-\udce9")
    assert not rules.ignores("e1.log")


def test_lines_are_read_as_git_reads_them() -> None:
    text = b"\xef\xbb\xbf*.pyc\r\n# comment\n\n   \n\\#odd\ntrailing\\ \n!keep\nlatin-\xe9\n"
    text += b"two\\\\  \none\\  \n"
    assert readable_lines(text) == (
        "*.pyc",
        "\\#odd",
        "trailing\\ ",
        "!keep",
        "latin-\udce9",
        "two\\\\",
        "one\\ ",
    )


PATTERNS = st.sampled_from(
    [
        *("*.log", "!*.log", "build/", "/a", "a/", "!a", "b/*", "!b/c", "**/c", "a/**", "a/**/c"),
        *(
            "c.log",
            "[ab]",
            "[!a]",
            "?",
            "\\!x",
            "/b/c/",
            "*",
            "!*/",
            "a b",
            "trail ",
            ".*",
            "é",
            "[!b-z]*",
            "[]a]",
            "[a-]",
            "a**",
            "**",
        ),
        *("*a*b", "a*b*c", "*/*", "a*/**/b*", "**/a*/**/*c", "b/**/**/*b*c", "**/*b/*", "*[ab]?*b"),
        *("*a*", "a*b*c", "*/a*/**", "**/a*/**/c*", "**/**/b", "*/**/[ab]/*", "?*?", "a*/*b/**/*"),
        *("[[:alpha:]]", "[^[:digit:]x]", "[", "a/**/", "**/", "!**/", "***/c", "\\a", "a\\", "/"),
    ]
)
STARRED = st.lists(st.sampled_from(["a", "b", "*", "**", "/", "?", "[ab]"]), max_size=8).map(
    "".join
)
PATH_NAMES = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "aab",
        "abcb",
        "bc",
        "cabc",
        "aa",
        "abc",
        "ab",
        "c.log",
        "build",
        "!x",
        "a b",
        ".x",
        "é",
        "]",
        "-",
        "\\",
        "trail",
        "1",
    ]
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ignore")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


@settings(max_examples=80, deadline=None)
@given(
    root=st.lists(PATTERNS | STARRED, max_size=4),
    inner=st.lists(PATTERNS, max_size=3),
    paths=st.lists(
        st.lists(PATH_NAMES, min_size=1, max_size=4).map("/".join), min_size=1, max_size=12
    ),
)
def test_decisions_are_those_of_git(
    checkout: Path, root: list[str], inner: list[str], paths: list[str]
) -> None:
    (checkout / "a").mkdir(exist_ok=True)
    files_text = ["".join(f"{line}\n" for line in lines).encode() for lines in (root, inner)]
    (checkout / ".gitignore").write_bytes(files_text[0])
    (checkout / "a" / ".gitignore").write_bytes(files_text[1])
    # A path that names an existing folder is asked for as a folder by git: ask for files only.
    files = [path for path in paths if path != "a"]
    asked = "".join(f"{path}\0" for path in files).encode()
    answer = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"],
        cwd=checkout,
        input=asked,
        capture_output=True,
        check=False,
    )
    ignored = set(answer.stdout.decode().split("\0"))
    rules = IgnoreRules((("", readable_lines(files_text[0])), ("a", readable_lines(files_text[1]))))
    for path in files:
        assert rules.ignores(path) == (path in ignored), (path, root, inner)
