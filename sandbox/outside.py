"""Diff text from outside, applied to an index: what `git apply` takes, with errors a user can use.

The text is data of a stranger. Declared sizes are summed before git reads it, git runs under
limits, and nothing is concluded from the text itself: what it did is read from the index later.
"""

import re
from collections.abc import Iterator, Set
from pathlib import Path

from sandbox.errors import PatchError
from sandbox.git import Git, GitError, GitLimits, GitResult
from sandbox.patch import PatchLimits, decode_path, printable

APPLY_SECONDS = 60
# `git apply` holds every result in memory until the end, so this bounds what a small diff of many
# copies can grow to. A patch within the size limits stays far below.
APPLY_MEMORY_BYTES = 2 << 30
DECLARED = re.compile(rb"^(?:literal|delta) (\d+)\r?$", re.MULTILINE)
MOST_DIGITS = 15
GIT_HEADER = re.compile(rb"^diff --git ", re.MULTILINE)
PLAIN_HEADER = re.compile(rb"^--- [^\n]*\n\+\+\+ [^\n]*\n@@ -", re.MULTILINE)
MERGE_HEADER = re.compile(rb"^diff --(?:cc|combined) ", re.MULTILINE)
HEADER_LINE = re.compile(
    rb"^(diff --git |index |--- |\+\+\+ |@@ -|old mode |new mode |new file mode |deleted file mode "
    rb"|similarity |dissimilarity |rename |copy |GIT binary patch|literal |delta )([^\n]*?)\r\n",
    re.MULTILINE,
)
NAME = re.compile(
    rb"^(?:diff --git \"?([^\r\n\" ]+)|(?:---|\+\+\+) \"?([^\t\r\n\"]+))", re.MULTILINE
)
PREFIXES = {"a", "b", "c", "i", "o", "w", "old", "new", "orig"}
MOVED = re.compile(rb"^(?:rename|copy) from ", re.MULTILINE)
HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
HUNK_BODY = re.compile(rb"^@@ -[^\n]*\n((?:[ +\-\\][^\n]*\n?)*)", re.MULTILINE)
COLOUR = re.compile(rb"^\x1b\[[0-9;]*m(?:diff |--- |@@ )", re.MULTILINE)
FAILED_HUNK = re.compile(r"^error: patch failed: (.*):(\d+)$", re.MULTILINE)


def patched_index(
    git: Git, index: Path, text: bytes, base_paths: Set[str], limits: PatchLimits
) -> None:
    """Apply diff text to `index`. Raises PatchError: no diff, too large, or does not apply."""
    diff = _as_utf8(text)
    _check_is_diff(diff)
    _check_declared_sizes(diff, limits)
    results = []
    for attempt, depth in _attempts(diff, base_paths):
        results.append(_apply(git, index, attempt, depth, limits))
        if results[-1].status == 0:
            return
    raise _explained(results[0], diff)


def _apply(git: Git, index: Path, diff: bytes, depth: int, limits: PatchLimits) -> GitResult:
    options = ["--cached", "--whitespace=nowarn", f"-p{depth}"]
    bodies = HUNK_BODY.findall(diff)
    if bodies and not any(re.search(rb"^ ", body, re.MULTILINE) for body in bodies):
        # Made without context lines: git wants to be told that line numbers are to be trusted.
        options.append("--unidiff-zero")
    try:
        return git.run(
            "apply",
            *options,
            stdin=diff,
            environment={"GIT_INDEX_FILE": str(index)},
            limits=GitLimits(
                seconds=APPLY_SECONDS,
                cpu_seconds=APPLY_SECONDS,
                memory_bytes=APPLY_MEMORY_BYTES,
                file_bytes=limits.total_bytes + (16 << 20),
            ),
            check=False,
        )
    except GitError as error:
        raise PatchError(f"The patch could not be applied: {error.stderr}.") from error


def _as_utf8(text: bytes) -> bytes:
    """The text without a byte order mark; PowerShell's `>` writes UTF-16."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if text.startswith(mark):
            try:
                return text[len(mark) :].decode(encoding).encode("utf-8")
            except UnicodeDecodeError:
                raise PatchError("The patch begins as UTF-16 text but is none.") from None
    return text.removeprefix(b"\xef\xbb\xbf")


def _check_is_diff(diff: bytes) -> None:
    if not diff.strip():
        raise PatchError(
            "The patch is empty.",
            "If it came from `git diff`: new files are in it only after `git add -N`, "
            "and staged changes only with `git diff HEAD`.",
        )
    if COLOUR.search(diff):
        raise PatchError("The patch is coloured text.", "Make it with `git diff --no-color`.")
    if MERGE_HEADER.search(diff):
        raise PatchError(
            "The patch is the combined diff of a merge, which cannot be applied.",
            "Diff the merge against one parent: `git diff COMMIT^1 COMMIT`.",
        )
    if GIT_HEADER.search(diff) or PLAIN_HEADER.search(diff.replace(b"\r\n", b"\n")):
        return
    start = diff.strip()[:200].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise PatchError(
            "The patch is a web page, not a diff.",
            "Fetch the raw text; on most forges the address of a pull request or commit "
            "with `.diff` at its end gives it.",
        )
    beginning = printable(decode_path(diff.strip().split(b"\n", 1)[0][:60]))
    raise PatchError(
        f"There is no diff in the {len(diff):,} bytes given, which begin with: {beginning}",
        "Give the output of `git diff`, or any unified diff.",
    )


def _check_declared_sizes(diff: bytes, limits: PatchLimits) -> None:
    # A number of more digits than any size has would be slow to read, or refused by Python.
    declared = sum(int(size[:MOST_DIGITS]) for size in DECLARED.findall(diff))
    for what, size in (("declares binary contents of", declared), ("has", len(diff))):
        if size > 2 * limits.total_bytes:
            raise PatchError(
                f"The patch {what} {size:,} bytes; {2 * limits.total_bytes:,} are the most.",
            )


def _attempts(diff: bytes, base_paths: Set[str]) -> Iterator[tuple[bytes, int]]:
    """The text as it stands, at the likelier depth of names first; then, when its own header lines
    end in CR LF, what it may have been before something converted it."""
    texts = [diff]
    if HEADER_LINE.search(diff):
        texts += [HEADER_LINE.sub(rb"\1\2\n", diff), diff.replace(b"\r\n", b"\n")]
    for text in texts:
        for depth in _depths(diff, base_paths):
            yield text, depth


def _depths(diff: bytes, base_paths: Set[str]) -> tuple[int, ...]:
    """How many leading folders the names may have that the tree has not: 1 (`a/`, `b/`) or 0.

    A wrong guess would put a new file in the wrong place, so both are tried only when files of the
    tree speak for both.
    """
    heads = b"\n".join(_outside_hunks(diff))
    if any(_names_with_prefixes(line) for line in heads.split(b"\n")):
        return (1, 0) if MOVED.search(heads) else (1,)
    found = NAME.findall(heads)
    names = {decode_path(git or plain.strip()) for git, plain in found} - {"/dev/null"}
    as_they_stand = any(name in base_paths for name in names)
    stripped = any(name.partition("/")[2] in base_paths for name in names)
    if as_they_stand and stripped:
        return 1, 0
    if as_they_stand or any("/" not in name for name in names):
        return (0,)
    starts = {name.partition("/")[0] for name in names}
    if stripped or starts <= PREFIXES:
        return (1,)
    folders = {path.partition("/")[0] for path in base_paths}
    return (0,) if starts & folders else (1,)


def _outside_hunks(diff: bytes) -> Iterator[bytes]:
    """The lines that are no content: a removed `-- x` or an added `++ x` looks like a header."""
    old = new = 0
    for line in diff.split(b"\n"):
        start = line[:1]
        if (old > 0 or new > 0) and start in (b" ", b"-", b"+", b"\\", b"", b"\r"):
            old -= start not in (b"+", b"\\")
            new -= start not in (b"-", b"\\")
            continue
        found = HUNK.match(line)
        sizes = [int(size[:MOST_DIGITS]) if size else 1 for size in found.groups()] if found else []
        old, new = sizes or (0, 0)
        yield line


def _names_with_prefixes(line: bytes) -> bool:
    """Whether git's header names the same file below two folders, as in `a/x b/x`: these are then
    no part of its name, unless it was moved."""
    if not GIT_HEADER.match(line):
        return False
    names = line.removeprefix(b"diff --git ").rstrip(b"\r")
    first, second = names[: len(names) // 2], names[len(names) // 2 + 1 :]
    return first != second and first.partition(b"/")[2] == second.partition(b"/")[2] != b""


def _explained(result: GitResult, diff: bytes) -> PatchError:
    """What git said, as a sentence that names the file and the line."""
    messages = [printable(line) for line in result.stderr.splitlines() if line.startswith("error:")]
    hint = "See that the patch was made against the state that it is applied to."
    if len(re.findall(rb"^commit [0-9a-f]{40}", diff, re.MULTILINE)) > 1:
        hint = "`git log -p` lists the newest commit first; `git diff A..B` gives one patch."
    failed = FAILED_HUNK.search(result.stderr)
    if failed:
        name, line = printable(failed[1]), failed[2]
        return PatchError(f"The patch does not apply to {name}: the hunk at line {line}.", hint)
    if result.status < 0 or "out of memory" in result.stderr.lower():
        return PatchError("The patch takes more memory or time than is allowed.")
    invalid = [line.partition("invalid path ")[2] for line in messages if "invalid path " in line]
    if invalid:
        return PatchError(
            f"No patch may hold the path {invalid[0]}.",
            "Patches change files of the checkout only: nothing outside of it, and no `.git`.",
        )
    said = "; ".join(line.removeprefix("error: ") for line in messages[:3])
    return PatchError(
        f"The patch does not apply: {said or printable(result.stderr.strip())}.", hint
    )
