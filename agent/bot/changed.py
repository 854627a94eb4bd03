"""What a patch does to the lines of files, as git tells it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.settingsfile import Reader
from sandbox.patch import FILE, Change, Patch
from sandbox.scratch import scratch_folder
from sandbox.trees import TreeStore

_HUNK = re.compile(rb"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_FILE = re.compile(rb"^(?=diff --git )", re.MULTILINE)


@dataclass(frozen=True)
class ChangedFile:
    """A change beside what was there before, None where nothing was. `added` are the lines that it
    adds, with their numbers and without what ends them; `removed` counts those that it takes away.
    Both are empty for what is no text."""

    change: Change
    before: bytes | None
    added: tuple[tuple[int, bytes], ...] = ()
    removed: int = 0

    @property
    def binary(self) -> bool:
        return b"\0" in (self.change.content or b"") or b"\0" in (self.before or b"")


def changed_files(patch: Patch, base: Reader) -> tuple[ChangedFile, ...]:
    """Each change of a patch with its lines. `base` gives what the patch is made for. Raises
    PatchError for a patch that must not be applied."""
    before = {change.path: base(change.path) for change in patch}
    # The modes of the base are not known, and say nothing of lines.
    modes = {change.path: change.mode or FILE for change in patch}
    with scratch_folder("lines-") as folder:
        diffs = iter(_diffs(folder, patch, before, modes))
        return tuple(
            ChangedFile(change, before[change.path], *_lines(next(diffs)))
            if before[change.path] != change.content
            else ChangedFile(change, before[change.path])
            for change in patch
        )


def shown(patch: Patch, base: Reader) -> str:
    """The patch as a diff. Raises PatchError as above."""
    before = {change.path: base(change.path) for change in patch}
    modes = {change.path: change.mode or FILE for change in patch}
    with scratch_folder("lines-") as folder:
        return b"".join(_diffs(folder, patch, before, modes)).decode("utf-8", "replace")


def _diffs(
    folder: Path, patch: Patch, before: dict[str, bytes | None], modes: dict[str, int]
) -> list[bytes]:
    """The diff of each file whose content changes, in the patch's order."""
    store = TreeStore.create(folder / "store")
    old = store.add_tree(
        (path, modes[path], content) for path, content in before.items() if content is not None
    )
    return _FILE.split(store.diff(old, store.apply(old, patch)))[1:]


def _lines(diff: bytes) -> tuple[tuple[tuple[int, bytes], ...], int]:
    added, removed = [], 0
    number = 0
    for line in _body(diff):
        if found := _HUNK.match(line):
            number = int(found[1])
        elif line.startswith(b"+"):
            added.append((number, line[1:]))
            number += 1
        elif line.startswith(b" "):
            number += 1
        elif line.startswith(b"-"):
            removed += 1
    return tuple(added), removed


def _body(diff: bytes) -> Iterator[bytes]:
    """The lines of a file's diff from its first hunk on; none of what is no text."""
    lines = iter(diff.split(b"\n"))
    for line in lines:
        if line.startswith(b"@@ "):
            yield line
            yield from lines
