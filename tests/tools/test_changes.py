import difflib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.changes import apply_changes, named_paths, parse_patch
from tools.tool import ToolError


def applied(patch: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """The files after the patch, as a plain dictionary."""
    changes = parse_patch(patch)
    known = {path: files.get(path) for path in named_paths(changes)}
    outcome = apply_changes(changes, known)
    result = {**files, **outcome.contents}
    return {path: content for path, content in result.items() if content is not None}


def envelope(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"]) + "\n"


def test_one_patch_adds_updates_moves_and_deletes():
    files = {"a.txt": b"one\ntwo\n", "b.txt": b"x\n", "c.txt": b"c\n"}
    patch = envelope(
        "*** Add File: new/d.txt",
        "+hello",
        "*** Update File: a.txt",
        "@@",
        " one",
        "-two",
        "+2",
        "*** Update File: b.txt",
        "*** Move to: sub/b.txt",
        "@@",
        "-x",
        "+y",
        "*** Delete File: c.txt",
    )
    after = applied(patch, files)
    assert after == {"a.txt": b"one\n2\n", "sub/b.txt": b"y\n", "new/d.txt": b"hello\n"}


def test_what_was_done_is_said_file_by_file():
    changes = parse_patch(envelope("*** Update File: a.txt", "@@", "-two", "+2", "+3"))
    outcome = apply_changes(changes, {"a.txt": b"one\ntwo\n"})
    assert outcome.said == ("Updated a.txt (lines 2-3).",)
    assert outcome.spans["a.txt"] == ((2, 3),)


def test_files_of_one_patch_build_on_each_other():
    patch = envelope("*** Update File: a", "@@", "-1", "+2", "*** Update File: a", "@@", "-2", "+3")
    assert applied(patch, {"a": b"1\n"}) == {"a": b"3\n"}


def test_moving_keeps_track_of_where_the_file_came_from():
    changes = parse_patch(envelope("*** Update File: run.sh", "*** Move to: bin/run.sh"))
    outcome = apply_changes(changes, {"run.sh": b"x", "bin/run.sh": None})
    assert outcome.moved == {"bin/run.sh": "run.sh"}
    assert outcome.contents == {"run.sh": None, "bin/run.sh": b"x"}


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("", "empty"),
        ("please change a to b", "no patch"),
        (envelope("*** Update File: nope", "@@", "-a", "+b"), "no file nope"),
        (envelope("*** Delete File: nope"), "no file nope"),
        (envelope("*** Delete File: a", "*** Delete File: a"), "the patch itself"),
        (envelope("*** Add File: ../x", "+x"), "outside of the workspace"),
        (envelope("*** Update File: png", "@@", "-a", "+b"), "binary file (4 bytes)"),
        ("--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+x\n", "exists already"),
    ],
)
def test_a_patch_that_cannot_be_applied_says_why(patch, said):
    with pytest.raises(ToolError, match=said.replace("(", r"\(").replace(")", r"\)")):
        applied(patch, {"a": b"a\n", "png": b"\x89\0PN"})


def test_adding_over_a_file_replaces_it_with_a_note():
    changes = parse_patch(envelope("*** Add File: a", "+new"))
    outcome = apply_changes(changes, {"a": b"old\n"})
    assert outcome.contents == {"a": b"new\n"}
    assert "replaced" in outcome.notes[0]


def test_a_patch_that_changes_nothing_writes_nothing_and_says_so():
    changes = parse_patch(envelope("*** Update File: a", "@@", "-x", "+x"))
    outcome = apply_changes(changes, {"a": b"x\n"})
    assert outcome.contents == {}
    assert "change nothing" in outcome.notes[0]


def test_absolute_paths_in_the_workspace_are_its_files():
    assert applied(envelope("*** Delete File: /workspace/./a"), {"a": b""}) == {}


def test_a_files_encoding_and_mark_survive_a_patch():
    files = {"a": b"\xef\xbb\xbfcaf\xc3\xa9\r\nx\r\n", "b": b"caf\xe9\nx\n"}
    patch = envelope("*** Update File: a", "@@", "-x", "+y", "*** Update File: b", "@@", "-x", "+y")
    assert applied(patch, files) == {
        "a": b"\xef\xbb\xbfcaf\xc3\xa9\r\ny\r\n",
        "b": b"caf\xe9\ny\n",
    }


LINES = st.lists(
    st.sampled_from(["a", "b", "", " a", "\tb", "-c", "+d", "@@ e", "-- f", "++ g", "é", "*** h"]),
    max_size=12,
)


@st.composite
def two_versions(draw):
    """A file before and after a few random edits of its lines."""
    before = draw(LINES)
    after = list(before)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(after)))
        end = draw(st.integers(start, min(len(after), start + 3)))
        after[start:end] = draw(LINES.map(lambda lines: lines[:3]))
    return before, after


@given(two_versions(), st.integers(0, 3))
def test_a_unified_diff_of_two_texts_turns_one_into_the_other(versions, context):
    before, after = versions
    diff = "\n".join(difflib.unified_diff(before, after, "a/f", "b/f", lineterm="", n=context))
    if not diff:
        return
    text = "".join(f"{line}\n" for line in before).encode()
    assert applied(diff + "\n", {"f": text})["f"].decode() == "".join(f"{x}\n" for x in after)


@given(two_versions())
def test_an_envelope_with_the_whole_file_as_context_turns_one_into_the_other(versions):
    before, after = versions
    body = [line for line in difflib.ndiff(before, after) if line[0] in " +-"]
    hunk = [line[0] + line[2:] for line in body]
    if not before or before == after:
        return
    text = "".join(f"{line}\n" for line in before).encode()
    got = applied(envelope("*** Update File: f", "@@", *hunk), {"f": text})
    assert got["f"].decode() == "".join(f"{line}\n" for line in after)


@given(two_versions(), st.integers(0, 6))
def test_a_diff_with_wrong_line_numbers_still_finds_unique_context(versions, shift):
    before, after = versions
    before = ["unique head", *before, "unique foot"]
    after = ["unique head", *after, "unique foot"]
    if before == after:
        return
    lines = list(difflib.unified_diff(before, after, "f", "f", lineterm="", n=20))
    lines[2] = f"@@ -{shift + 7},1 +{shift},9 @@ def f():"
    text = "".join(f"{line}\n" for line in before).encode()
    got = applied("\n".join(lines) + "\n", {"f": text})
    assert got["f"].decode() == "".join(f"{line}\n" for line in after)


NAMES = st.sampled_from(["a.txt", "sub dir/b.txt", "café.txt", 'quo"te.txt', "b/a/b.txt"])
RAW_LINES = st.lists(
    st.sampled_from(
        [b"one\n", b"two\n", b"\n", b"three\r\n", b"\r\n", b" x\n", b"caf\xc3\xa9\n", b"- y\n"]
    ),
    max_size=10,
).map(b"".join)
RAW = st.tuples(RAW_LINES, st.sampled_from([b"", b"", b"end", b"end\r"])).map(b"".join)
TREES = st.dictionaries(NAMES, RAW, max_size=4)


def write_tree(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


@given(TREES, TREES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_git_diffs_is_applied_to_the_byte(tmp_path, old, new):
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    write_tree(folder / "old", old)
    write_tree(folder / "new", new)
    for side in ("old", "new"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    git = ["git", "diff", "--no-index", "--no-color", "--no-ext-diff", "--text", "-M", "old", "new"]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    done = subprocess.run(git, cwd=folder, capture_output=True, env=env, check=False)
    diff = done.stdout.decode()
    for side in ("old/", "new/"):
        for before in ("a/", "b/", "rename from ", "rename to ", 'rename from "', 'rename to "'):
            diff = diff.replace(before + side, before)
    if diff:
        assert applied(diff, old) == new
    else:
        assert old == new
