from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bot.changed import ChangedFile, changed_files
from sandbox.patch import EXECUTABLE, FILE, Change, Patch

Lines = list[bytes]
#: What begins lines of a diff, so that a line of a file can be taken for one.
LINES = st.lists(
    st.sampled_from(
        [
            b"a",
            b"b",
            b"",
            b"+a",
            b"-- a/x",
            b"++ b/x",
            b"@@ -1 +1 @@",
            b"diff --git a/x b/x",
            b" c\r",
            b"\xff\xfe",
            b"\\ No newline at end of file",
        ]
    ),
    max_size=12,
)


def changed(before: dict[str, bytes], *changes: Change) -> tuple[ChangedFile, ...]:
    return changed_files(Patch(changes), before.get)


def test_lines_that_are_added_and_removed() -> None:
    before = {"a.py": b"one\ntwo\nthree\n", "gone.py": b"x\ny\n", "same.py": b"s\n"}
    found = changed(
        before,
        Change("a.py", FILE, b"zero\none\nTWO\nthree\n"),
        Change("gone.py", None, None),
        Change("new file.py", EXECUTABLE, b"n\nlast"),
        Change("same.py", EXECUTABLE, b"s\n"),
        Change("never.py", None, None),
    )
    lines = {file.change.path: (file.added, file.removed) for file in found}
    assert lines == {
        "a.py": (((1, b"zero"), (3, b"TWO")), 1),
        "gone.py": ((), 2),
        "new file.py": (((1, b"n"), (2, b"last")), 0),
        "same.py": ((), 0),
        "never.py": ((), 0),
    }


def test_what_is_no_text_has_no_lines() -> None:
    (found,) = changed({"a.png": b"\x89\0"}, Change("a.png", FILE, b"\x89\0\n+x\n"))
    assert (found.binary, found.added, found.removed) == (True, (), 0)


def test_an_empty_file_has_no_lines() -> None:
    made, emptied = changed({"b": b"x"}, Change("a", FILE, b""), Change("b", FILE, b""))
    assert (made.added, made.removed) == ((), 0)
    assert (emptied.added, emptied.removed) == ((), 1)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(LINES, LINES), min_size=5, max_size=15))
def test_the_new_lines_are_the_old_ones_and_what_is_added(files: list[tuple[Lines, Lines]]) -> None:
    texts = {f"d/{at} x": [b"\n".join(lines) for lines in both] for at, both in enumerate(files)}
    found = changed(
        {path: old for path, (old, _) in texts.items()},
        *(Change(path, FILE, new) for path, (_, new) in texts.items()),
    )
    for file in found:
        old, new = (list(enumerate(ended(text), 1)) for text in texts[file.change.path])
        kept = iter([line for line in new if line not in file.added])
        assert set(file.added) <= set(new)
        assert len(old) - file.removed == len(new) - len(file.added)
        rest = iter(line for _, line in old)
        assert all(any(line == other for other in rest) for _, line in kept)


def ended(text: bytes) -> Lines:
    """The lines of a text as git counts them: what ends the last one begins none."""
    return text.split(b"\n")[: -1 if text.endswith(b"\n") or not text else None]
