"""edit_file: replaces an exact text that stands once in a file, and explains why it could not.

Line ends never have to match: texts are compared with LF, and what is inserted gets the line ends
of its place, so that files with CRLF keep them. Everything outside the replaced characters stays
exact to the byte.
"""

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from tools.bounds import clip_line, count
from tools.content import main_line_end
from tools.nearest import describe, nearest_place
from tools.tool import ToolError

_LINE_NUMBER = re.compile(r"^[ \t]*\d+(?:\| ?|:[ \t]?|\t|\u2192|[ \t]*\|[ \t]?)")
_MOST_LISTED = 10


class EditError(ToolError):
    """A text that cannot be replaced; the message explains why to the model."""


@dataclass(frozen=True)
class Edited:
    """The new text, and where the replacements stand in it: (first, last) lines, counted from
    1."""

    text: str
    spans: tuple[tuple[int, int], ...]


def replace_text(text: str, old: str, new: str, *, replace_all: bool = False) -> Edited:
    """`text` with `old` replaced by `new`: where it stands once, or everywhere.

    Raises EditError when `old` is empty, equals `new`, is not in the text or stands several times
    without `replace_all`.
    """
    view = _View(text)
    old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    if not old:
        raise EditError("old_text is empty.", _EMPTY_HINT)
    if old == new:
        raise EditError("old_text and new_text are the same, so nothing would change.")
    found = _occurrences(view.text, old, overlapping=not replace_all)
    if not found:
        raise EditError(_explain_missing(view.text, old, new))
    if len(found) > 1 and not replace_all:
        raise EditError(_explain_several(view.text, found))
    return _spliced(view, found, old, new)


_EMPTY_HINT = (
    "To insert text, give a line next to the place as old_text, and the same line with your text "
    "as new_text; to fill or create a file, use write_file."
)


class _View:
    """A text with every CRLF as LF, and the way back to the places in the text itself."""

    def __init__(self, text: str) -> None:
        self.original = text
        self.text = text.replace("\r\n", "\n")
        self.main_end = main_line_end(text)
        # Where each line feed that was a CRLF stands in the view.
        self._pairs = [match.start() - i for i, match in enumerate(re.finditer("\r\n", text))]

    def place(self, position: int) -> int:
        """The place in the original that stands before the view's character at `position`."""
        return position + bisect_left(self._pairs, position)

    def end_near(self, position: int) -> str:
        """The line end of the line at `position`, else of the line before it, else the usual."""
        after = self.text.find("\n", position)
        feed = after if after >= 0 else self.text.rfind("\n", 0, position)
        if feed < 0:
            return self.main_end
        index = bisect_left(self._pairs, feed)
        return "\r\n" if index < bisect_right(self._pairs, feed) else "\n"


def _occurrences(text: str, old: str, *, overlapping: bool) -> list[int]:
    found: list[int] = []
    start = text.find(old)
    while start >= 0:
        found.append(start)
        start = text.find(old, start + (1 if overlapping else len(old)))
    return found


def _spliced(view: _View, found: list[int], old: str, new: str) -> Edited:
    """Replaces only what differs between old and new, so that the lines which they share keep
    their own line ends in a file that mixes them."""
    head = _shared_prefix(old, new)
    tail = _shared_prefix(old[head:][::-1], new[head:][::-1])
    inserted = new[head : len(new) - tail]
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    done, line = 0, 1
    for start in found:
        first, last = view.place(start + head), view.place(start + len(old) - tail)
        kept = view.original[done:first]
        fitted = inserted.replace("\n", view.end_near(start + head))
        parts += [kept, fitted]
        line += kept.count("\n")
        spans.append((line, line + fitted.count("\n")))
        line += fitted.count("\n")
        done = last
    parts.append(view.original[done:])
    return Edited("".join(parts), tuple(spans))


def _shared_prefix(first: str, second: str) -> int:
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return min(len(first), len(second))


def _line_number(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _explain_several(text: str, found: list[int]) -> str:
    lines = text.split("\n")
    listed: list[str] = []
    for position in found[:_MOST_LISTED]:
        number = _line_number(text, position)
        listed.append(f"  line {number}: {clip_line(lines[number - 1].strip(), 120)}")
    if len(found) > _MOST_LISTED:
        listed.append(f"  and {len(found) - _MOST_LISTED} more")
    return (
        f"old_text stands {len(found)} times in the file:\n" + "\n".join(listed) + "\n"
        "Give more of the lines around the one that you mean, or set replace_all to true."
    )


def _explain_missing(text: str, old: str, new: str) -> str:
    said = ["old_text is not in the file."]
    if not text:
        return f"{said[0]} The file is empty: use write_file."
    for hint, reading in _other_readings(old):
        found = _occurrences(text, reading, overlapping=True)
        if found:
            number = _line_number(text, found[0])
            return f"{said[0]} {hint} Without that it is found at line {number}."
    if new.strip() and new in text:
        number = _line_number(text, text.index(new))
        said.append(f"new_text is there already, at line {number}: the edit may be done.")
    place = nearest_place(text.split("\n"), old.split("\n"))
    if place is None:
        said.append("Nothing in the file is much like it: read the file again with read_file.")
    else:
        said.append(describe(place, old.split("\n"), "old_text"))
        said.append("Copy the text exactly as the file has it, without the line numbers.")
    return "\n".join(said)


def _other_readings(old: str) -> list[tuple[str, str]]:
    """Texts that the model may have meant by `old`, with what was wrong about it."""
    readings: list[tuple[str, str]] = []
    lines = old.split("\n")
    filled = [line for line in lines if line.strip()]
    if filled and all(_LINE_NUMBER.match(line) for line in filled):
        bare = "\n".join(_LINE_NUMBER.sub("", line, count=1) for line in lines)
        readings.append(("It carries the line numbers that read_file shows.", bare))
    if "\\n" in old or '\\"' in old or "\\t" in old:
        plain = old.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
        readings.append(('It is escaped twice (\\n, \\t or \\" in place of the character).', plain))
    stripped = old.strip("\n")
    if stripped and stripped != old:
        readings.append(
            ("It begins or ends with line breaks that the file does not have there.", stripped)
        )
    fence = re.fullmatch(r"```\w*\n(.*?)\n?```\n?", old, re.DOTALL)
    if fence:
        readings.append(("It stands in a code fence.", fence.group(1)))
    return [(hint, reading) for hint, reading in readings if reading.strip()]


def summary(edited: Edited, path: str) -> str:
    """What was done, for the model: `Edited a.py at line 3.`"""
    lines = [str(a) if a == b else f"{a}-{b}" for a, b in edited.spans[:_MOST_LISTED]]
    where = ", ".join(lines) + (", ..." if len(edited.spans) > _MOST_LISTED else "")
    times = "" if len(edited.spans) == 1 else f" in {count(len(edited.spans), 'place')}"
    one = len(edited.spans) == 1 and edited.spans[0][0] == edited.spans[0][1]
    return f"Edited {path}{times}: {'line' if one else 'lines'} {where}."
