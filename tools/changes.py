"""A parsed patch applied to files in memory, so that all of it fits before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tools.bounds import count
from tools.content import Encoding, TextContent, decode, size_text, split_lines
from tools.envelope import BEGIN, parse_envelope
from tools.hunks import FileChange, apply_hunks
from tools.paths import WORKSPACE, workspace_path
from tools.tool import ToolError
from tools.unified import looks_like_diff, parse_unified


@dataclass(frozen=True)
class Outcome:
    """What a patch makes of the files that it names.

    `contents` maps a path to its new bytes, None where the file goes. `executable` holds the
    paths whose mode the patch sets, `moved` new paths with the old ones. `said` are the changes
    and `notes` the doubts, in words. `spans` are changed lines (first, last) of updated files.
    """

    contents: Mapping[str, bytes | None]
    executable: Mapping[str, bool]
    moved: Mapping[str, str]
    said: tuple[str, ...]
    notes: tuple[str, ...]
    spans: Mapping[str, tuple[tuple[int, int], ...]]


def parse_patch(text: str) -> list[FileChange]:
    """The changes in a `*** Begin Patch` patch or a unified diff; ToolError for anything else."""
    if BEGIN in text:
        return parse_envelope(text)
    if looks_like_diff(text):
        return parse_unified(text)
    if not text.strip():
        raise ToolError("The patch is empty.")
    raise ToolError(
        f'This is no patch: neither "{BEGIN}" nor a unified diff\'s "--- a/file", "+++ b/file" '
        "is in it.",
        f'Form: "{BEGIN}", "*** Update File: PATH", "@@", lines that begin with a space, - or +, '
        '"*** End Patch".',
    )


def placed(changes: Sequence[FileChange], workspace: str) -> list[FileChange]:
    """The changes with their paths made relative to the workspace. Raises ToolError for one that
    is not in it."""
    return [
        replace(
            change,
            path=_file_path(change.path, workspace),
            move_to=None if change.move_to is None else _file_path(change.move_to, workspace),
        )
        for change in changes
    ]


def named_paths(changes: Sequence[FileChange]) -> list[str]:
    """Every path that the changes read or write, relative to the workspace, each once."""
    paths: dict[str, None] = {}
    for change in changes:
        for path in (change.path, change.move_to):
            if path is not None:
                paths[_file_path(path)] = None
    return list(paths)


def apply_changes(changes: Sequence[FileChange], contents: Mapping[str, bytes | None]) -> Outcome:
    """The changes applied in order to `contents`, which holds each named path (None: no file).

    Raises ToolError, naming file and hunk, when any of them does not fit; nothing is changed then.
    """
    work = _Work(contents)
    for change in changes:
        path = _file_path(change.path)
        match change.kind:
            case "add":
                work.add(path, change)
            case "delete":
                work.delete(path)
            case "update":
                work.update(path, change)
    return work.outcome()


def _file_path(path: str, workspace: str = WORKSPACE) -> str:
    relative = workspace_path(path, workspace)
    if relative == ".":
        raise ToolError(f"{path} is the workspace itself, not a file.")
    return relative


class _Work:
    """The files while a patch is applied to them, change by change."""

    def __init__(self, contents: Mapping[str, bytes | None]) -> None:
        self._before = dict(contents)
        self._now = dict(contents)
        self._executable: dict[str, bool] = {}
        self._moved: dict[str, str] = {}
        self._said: list[str] = []
        self._notes: list[str] = []
        self._spans: dict[str, tuple[tuple[int, int], ...]] = {}

    def add(self, path: str, change: FileChange) -> None:
        if self._now[path] is not None:
            if not change.replaces:
                raise ToolError(f"{path} exists already, but the diff adds it as a new file.")
            self._notes.append(f"{path} existed already; all of it was replaced")
        self._now[path] = Encoding().encode(change.content, path)
        if change.executable is not None:
            self._executable[path] = change.executable
        self._said.append(f"Added {path} ({count(len(split_lines(change.content)), 'line')}).")

    def delete(self, path: str) -> None:
        self._existing(path)
        self._now[path] = None
        self._said.append(f"Deleted {path}.")

    def update(self, path: str, change: FileChange) -> None:
        content = self._existing(path)
        if change.hunks:
            content = self._updated(path, content, change)
        target = path if change.move_to is None else _file_path(change.move_to)
        if target != path:
            self._move(path, target)
        self._now[target] = content
        if change.executable is not None:
            self._executable[target] = change.executable
            self._said.append(
                f"Made {target} {'executable' if change.executable else 'not executable'}."
            )

    def _updated(self, path: str, content: bytes, change: FileChange) -> bytes:
        decoded = self._text(path, content)
        applied = apply_hunks(decoded.text, change.hunks, path)
        new = decoded.encoding.encode(applied.text, path)
        if new == content:
            self._notes.append(f"the hunks of {path} change nothing")
        lines = ", ".join(f"{a}-{b}" if a != b else str(a) for a, b in applied.spans[:10])
        self._said.append(f"Updated {path} (lines {lines}).")
        self._notes += applied.notes
        self._spans[path] = applied.spans
        return new

    def _move(self, path: str, target: str) -> None:
        if self._now[target] is not None:
            self._notes.append(f"{target} existed already; all of it was replaced")
        self._now[path] = None
        self._moved[target] = self._moved.pop(path, path)
        self._spans[target] = self._spans.pop(path, ())
        self._said.append(f"Moved {path} to {target}.")

    def _existing(self, path: str) -> bytes:
        content = self._now[path]
        if content is None:
            taken = self._before[path] is not None
            why = " any more: the patch itself moves or deletes it" if taken else ""
            raise ToolError(f"There is no file {path}{why}.")
        return content

    @staticmethod
    def _text(path: str, content: bytes) -> TextContent:
        decoded = decode(content)
        if decoded is None:
            raise ToolError(
                f"{path} is a binary file ({size_text(len(content))}): no hunk fits it."
            )
        return decoded

    def outcome(self) -> Outcome:
        changed = {
            path: content for path, content in self._now.items() if content != self._before[path]
        }
        return Outcome(
            changed,
            {path: mode for path, mode in self._executable.items() if self._now[path] is not None},
            {new: old for new, old in self._moved.items() if self._now[new] is not None},
            tuple(self._said),
            tuple(self._notes),
            self._spans,
        )
