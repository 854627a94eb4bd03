"""Hunks of a patch: found in a text by their context, whatever their line numbers say, and applied.

Lines are compared from strict to loose: exactly, but for line ends, for trailing whitespace, for
indentation, for typographic characters. Context keeps the file's own form; added lines get the
line ends of their place, and the file's indentation when all of the context is shifted alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tools.content import body, line_end, main_line_end, split_lines
from tools.nearest import LOOKING_PAST, describe, matches, nearest_place
from tools.tool import ToolError

_FORMS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", lambda line: line),
    ("line ends", lambda line: line.removesuffix("\r")),
    *LOOKING_PAST[:3],
)
_INDENTATION_LEVEL = 3


@dataclass(frozen=True)
class HunkLine:
    """One line of a hunk. `end` is LF or CRLF as the patch has it, or empty where the patch marks
    that no line feed follows. `blank` is a wholly empty line of the patch, taken as context."""

    kind: Literal[" ", "-", "+"]
    text: str
    end: str = "\n"
    blank: bool = False

    def without_line_feed(self) -> "HunkLine":
        """The line as the mark `\\ No newline` below it says: a CR before it was text."""
        carriage = "\r" if self.end == "\r\n" else ""
        return replace(self, text=self.text + carriage, end="")


@dataclass(frozen=True)
class Hunk:
    """Lines to find and to change.

    `name` is for errors. `anchors` are lines that stand above (`@@ def f():`). `expected` is the
    index of the first old line by the patch's own numbers. `at_end` says that the old lines end
    the file. `exact_ends`: the patch itself tells CRLF from LF, so added lines follow it.
    """

    name: str
    lines: tuple[HunkLine, ...]
    anchors: tuple[str, ...] = ()
    expected: int | None = None
    at_end: bool = False
    exact_ends: bool = False

    @property
    def old(self) -> tuple[HunkLine, ...]:
        return tuple(line for line in self.lines if line.kind != "+")

    @property
    def marked(self) -> bool:
        """Whether the patch says anything about the line feed at the end of the file."""
        return any(not line.end for line in self.lines)


@dataclass(frozen=True)
class FileChange:
    """What a patch does to one file.

    `content` is that of an added file. `replaces` allows an added file to exist already.
    `executable` is None where the patch does not say.
    """

    kind: Literal["add", "update", "delete"]
    path: str
    hunks: tuple[Hunk, ...] = ()
    content: str = ""
    move_to: str | None = None
    executable: bool | None = None
    replaces: bool = False


@dataclass(frozen=True)
class Applied:
    """The new text, the changed lines in it (first, last), and what the model should know."""

    text: str
    spans: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]


class HunkError(ToolError):
    """A hunk that does not fit; the message names it and shows the nearest text."""


@dataclass(frozen=True)
class _Located:
    hunk: Hunk
    index: int
    level: int


def apply_hunks(text: str, hunks: Sequence[Hunk], path: str) -> Applied:
    """`text` after all of the hunks; HunkError when one cannot be placed."""
    lines = split_lines(text)
    notes: list[str] = []
    placed: list[_Located] = []
    cursor = drift = 0
    for hunk in hunks:
        found = _Search(lines, path, placed, notes).locate(hunk, cursor, drift)
        placed.append(found)
        cursor = found.index + len(found.hunk.old)
        if hunk.expected is not None:
            drift = found.index - hunk.expected
    placed.sort(key=lambda found: (found.index, len(found.hunk.old)))  # an insertion goes first
    new_lines, spans = _assembled(lines, placed, main_line_end(text))
    final = _final_end(text, [found.hunk for found in placed])
    return Applied(_joined(new_lines, main_line_end(text), final), tuple(spans), tuple(notes))


class _Search:
    """Finds one hunk's place among a file's lines, clear of the hunks placed before it."""

    def __init__(
        self, lines: Sequence[str], path: str, placed: Sequence[_Located], notes: list[str]
    ) -> None:
        self._lines = [line.removesuffix("\n") for line in lines]
        self._path = path
        self._placed = placed
        self._notes = notes

    def locate(self, hunk: Hunk, cursor: int, drift: int) -> _Located:
        start, anchored = self._after_anchors(hunk, cursor)
        if not hunk.old:
            return _Located(hunk, self._insertion(hunk, start, drift), 0)
        for candidate in _with_fewer_blanks(hunk):
            for level, (looked_past, form) in enumerate(_FORMS):
                found = self._free(candidate, form)
                if found:
                    index = self._chosen(candidate, found, start, drift, anchored)
                    if looked_past and looked_past != "line ends":
                        self._note(hunk, f"matched line {index + 1} but for {looked_past}")
                    return _Located(candidate, index, level)
        raise self._missing(hunk)

    def _free(self, hunk: Hunk, form: Callable[[str], str]) -> list[int]:
        wanted = [line.text + line.end.removesuffix("\n") for line in hunk.old]
        return [
            index
            for index in matches(self._lines, wanted, form)
            if all(
                index + len(wanted) <= other.index or index >= other.index + len(other.hunk.old)
                for other in self._placed
            )
        ]

    def _chosen(self, hunk: Hunk, found: list[int], start: int, drift: int, anchored: bool) -> int:
        if hunk.expected is not None:
            wanted = hunk.expected + drift
            return min(found, key=lambda index: abs(index - wanted))
        if hunk.at_end and found[-1] + len(hunk.old) == len(self._lines):
            return found[-1]
        below = [index for index in found if index >= start]
        # An anchor may be repeated as the hunk's first line of context.
        near = below or [index for index in found if index == start - 1]
        if len(found) > 1 and (not near or not anchored):
            raise HunkError(
                f"{hunk.name} of {self._path} fits at lines {_listed(found)}, and what stands "
                f"above it does not tell which is meant.",
                "Give more lines of context, or a line above the place after @@.",
            )
        if len(near) > 1 and not hunk.anchors and not self._placed:
            self._note(hunk, f"fits at lines {_listed(found)}; the first was taken")
        return (near or found)[0]

    def _after_anchors(self, hunk: Hunk, cursor: int) -> tuple[int, bool]:
        """Where to look from, and whether every anchor was found."""
        start = cursor
        for anchor in hunk.anchors:
            index = self._anchor(anchor, start)
            if index is None:
                if not hunk.old:
                    raise HunkError(
                        f'{hunk.name} of {self._path}: "@@ {anchor}" names no line of the file.',
                        "Give the line as the file has it, or lines of context below @@.",
                    )
                return cursor, False
            start = index + 1
        return start, True

    def _anchor(self, anchor: str, start: int) -> int | None:
        bare = anchor.strip()
        tests: tuple[Callable[[str], bool], ...] = (
            lambda line: line == anchor,
            lambda line: line.strip() == bare,
            lambda line: line.strip().startswith(bare),
            lambda line: bare in line,
        )
        for first in (start, 0):
            for test in tests:
                for index in range(first, len(self._lines)):
                    if test(self._lines[index]):
                        return index
        return None

    def _insertion(self, hunk: Hunk, start: int, drift: int) -> int:
        if hunk.expected is not None:
            index = max(0, min(hunk.expected + drift, len(self._lines)))
        elif hunk.anchors and not hunk.at_end:
            index = start
        else:
            index = len(self._lines)
        for other in self._placed:
            end = other.index + len(other.hunk.old)
            if other.index < index < end:
                index = end
        return index

    def _missing(self, hunk: Hunk) -> HunkError:
        wanted = [line.text for line in hunk.old]
        place = nearest_place([line.removesuffix("\r") for line in self._lines], wanted)
        if place is None:
            near = "Nothing in the file is much like them; read the file again."
        else:
            near = describe(place, wanted, "the patch")
        return HunkError(
            f"{hunk.name} does not fit {self._path}: its context and - lines are not in the file "
            f"as they stand (or an earlier hunk changes them already).\n{near}"
        )

    def _note(self, hunk: Hunk, text: str) -> None:
        self._notes.append(f"{hunk.name} of {self._path} {text}")


def _with_fewer_blanks(hunk: Hunk) -> list[Hunk]:
    """The hunk, then without the empty lines of the patch that may only separate its parts."""
    kept = list(hunk.lines)
    while kept and kept[-1].blank:
        kept.pop()
    fewer = replace(hunk, lines=tuple(kept))
    return [hunk, fewer] if len(kept) < len(hunk.lines) and fewer.old else [hunk]


def _listed(indices: Sequence[int]) -> str:
    shown = ", ".join(str(index + 1) for index in indices[:8])
    return shown + (", ..." if len(indices) > 8 else "")


def _assembled(
    lines: Sequence[str], placed: Sequence[_Located], main_end: str
) -> tuple[list[str], list[tuple[int, int]]]:
    new: list[str] = []
    spans: list[tuple[int, int]] = []
    done = 0
    for found in placed:
        new += lines[done : found.index]
        first = len(new) + 1
        fitted, done = _fitted(lines, found, main_end)
        new += fitted
        spans.append((first, max(first, len(new))))
    new += lines[done:]
    return new, spans


def _fitted(lines: Sequence[str], found: _Located, main_end: str) -> tuple[list[str], int]:
    """The lines that stand in the hunk's place afterwards, and the first line below it."""
    hunk, at = found.hunk, found.index
    as_patched = hunk.exact_ends or (found.level == 0 and bool(hunk.old))
    shift = _indentation_shift(lines, found)
    fitted: list[str] = []
    for line in hunk.lines:
        if line.kind == "+":
            near = lines[at - 1] if at > 0 else lines[0] if lines else ""
            usual = line_end(near) or main_end
            end = line.end if as_patched or not line.end else usual
            fitted.append(shift(line.text) + end)
            continue
        if line.kind == " ":
            fitted.append(lines[at])
        at += 1
    return fitted, at


def _indentation_shift(lines: Sequence[str], found: _Located) -> Callable[[str], str]:
    """How added lines have to be indented when the patch's context is indented otherwise."""
    if found.level < _INDENTATION_LEVEL:
        return lambda text: text
    shifts: set[tuple[str, str]] = set()
    for line, there in zip(found.hunk.old, lines[found.index :], strict=False):
        if line.text.strip():
            shifts.add(_shift(_indent(line.text), _indent(body(there))))
    if len(shifts) != 1:
        return lambda text: text
    less, more = next(iter(shifts))

    def shifted(text: str) -> str:
        if not text.strip() or not text.startswith(less):
            return text
        return more + text[len(less) :]

    return shifted


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _shift(patch: str, there: str) -> tuple[str, str]:
    """What to take off the front of an indentation and what to put there instead."""
    if there.endswith(patch):
        return "", there[: len(there) - len(patch)]
    if patch.endswith(there):
        return patch[: len(patch) - len(there)], ""
    return patch, there


def _final_end(text: str, hunks: Sequence[Hunk]) -> bool:
    """Whether the new text ends with a line feed: as the patch marks it, else as before."""
    for hunk in hunks:
        if hunk.marked:
            return all(line.end for line in hunk.lines if line.kind != "-")
    return not text or text.endswith("\n")


def _joined(lines: list[str], main_end: str, final: bool) -> str:
    complete = [line if line_end(line) else line + main_end for line in lines[:-1]]
    for last in lines[-1:]:
        ended = last if line_end(last) else last + main_end
        complete.append(ended if final else body(last))
    return "".join(complete)
