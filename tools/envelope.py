"""Reads the patch format that begins with `*** Begin Patch`, as models were trained to write it."""

from tools.hunks import FileChange, Hunk, HunkLine
from tools.tool import ToolError
from tools.unified import NO_LINE_FEED, HunkNumbers

BEGIN, END = "*** Begin Patch", "*** End Patch"
_ADD, _DELETE, _UPDATE = "*** Add File:", "*** Delete File:", "*** Update File:"
_MOVE, _END_OF_FILE = "*** Move to:", "*** End of File"
_AFTER_END = ("", "EOF", "```", "PATCH", "'", '"', ")")


class EnvelopeError(ToolError):
    """A patch that does not keep to the format; the message names the line."""


def parse_envelope(text: str) -> list[FileChange]:
    """The changes in a `*** Begin Patch` patch; EnvelopeError when it is not one."""
    return _Reader(text).changes()


class _Reader:
    def __init__(self, text: str) -> None:
        lines = text.split("\n")
        # A patch whose own markers end in CR came through something that made CRLF of all of it.
        marks = [line for line in lines[:-1] if line.startswith("*** ")]
        everywhere = all(line.endswith("\r") for line in marks)
        self._lines = [line.removesuffix("\r") for line in lines] if everywhere else lines
        self._at = 0

    def changes(self) -> list[FileChange]:
        marks = [i for i, line in enumerate(self._lines) if line.strip() == BEGIN]
        if len(marks) != 1:
            raise EnvelopeError(
                f'The patch has to hold "{BEGIN}" once; it stands {len(marks)} times.'
            )
        self._at = marks[0] + 1
        changes: list[FileChange] = []
        while (line := self._next("the next file")) != END:
            if line:
                changes.append(self._change(line))
        rest = [line for line in self._lines[self._at :] if line.strip() not in _AFTER_END]
        if rest:
            raise EnvelopeError(
                f'After "{END}" nothing may follow, but there is: {rest[0][:80]!r}.'
            )
        if not changes:
            raise EnvelopeError("The patch changes no file.")
        return changes

    def _next(self, wanted: str) -> str:
        """The next line, stripped; an error when the patch ends before its end mark."""
        if self._at >= len(self._lines):
            raise EnvelopeError(
                f'The patch ends without "{END}", where {wanted} was to come.',
                "If it was cut off, make it smaller; else end it with that line.",
            )
        self._at += 1
        return self._lines[self._at - 1].strip()

    def _peek(self) -> str | None:
        return self._lines[self._at] if self._at < len(self._lines) else None

    def _change(self, header: str) -> FileChange:
        for mark, read in ((_ADD, self._added), (_UPDATE, self._updated), (_DELETE, self._deleted)):
            if header.startswith(mark):
                path = header.removeprefix(mark).strip()
                if not path:
                    raise EnvelopeError(f'Line {self._at} of the patch: "{mark}" names no file.')
                return read(path)
        raise EnvelopeError(
            f'Line {self._at} of the patch: "{_ADD} PATH", "{_UPDATE} PATH" or "{_DELETE} PATH" '
            f"was expected; there is {header[:80]!r}."
        )

    def _added(self, path: str) -> FileChange:
        lines: list[str] = []
        while (line := self._peek()) is not None and not self._is_mark(line):
            self._at += 1
            if line.startswith("+"):
                lines.append(line[1:])
            elif line.strip() and not line.startswith("@@"):
                raise EnvelopeError(
                    f"Line {self._at} of the patch: in an added file every line begins with +; "
                    f"there is {line[:80]!r}."
                )
        return FileChange(
            "add", path, content="".join(f"{line}\n" for line in lines), replaces=True
        )

    def _deleted(self, path: str) -> FileChange:
        return FileChange("delete", path)

    def _updated(self, path: str) -> FileChange:
        move_to = None
        if (self._peek() or "").strip().startswith(_MOVE):
            move_to = self._next("a path").removeprefix(_MOVE).strip()
        self._skip_unified_header()
        hunks: list[Hunk] = []
        while (line := self._peek()) is not None and not self._is_mark(line):
            if not line.strip() and not hunks:
                self._at += 1
                continue
            if hunks and hunks[-1].at_end and not line.startswith("@@"):
                break
            hunks.append(self._hunk(len(hunks) + 1))
        if not hunks and not move_to:
            raise EnvelopeError(f'"{_UPDATE} {path}" has no changed lines below it.')
        return FileChange("update", path, tuple(hunks), move_to=move_to)

    def _skip_unified_header(self) -> None:
        """`--- a/x` and `+++ b/x`, which some models repeat below the file's own header."""
        pair = self._lines[self._at : self._at + 2]
        if len(pair) == 2 and pair[0].startswith("--- ") and pair[1].startswith("+++ "):
            self._at += 2

    def _hunk(self, number: int) -> Hunk:
        name = f"Hunk {number} (line {self._at + 1} of the patch)"
        anchors, expected = self._anchors()
        lines: list[HunkLine] = []
        at_end = False
        while (line := self._peek()) is not None and not line.startswith("@@"):
            if line.rstrip() == _END_OF_FILE:
                self._at += 1
                at_end = True
                break
            if self._is_mark(line):
                break
            self._at += 1
            if line.startswith(NO_LINE_FEED) and lines:
                lines[-1] = lines[-1].without_line_feed()
            else:
                lines.append(self._line(line))
        if all(line.blank for line in lines):
            raise EnvelopeError(f"{name} has no lines below its @@.")
        carried = any(line.end == "\r\n" for line in lines)
        return Hunk(name, tuple(lines), anchors, expected, at_end, exact_ends=carried)

    def _anchors(self) -> tuple[tuple[str, ...], int | None]:
        """The lines of `@@`, several of which may stand on each other."""
        anchors: list[str] = []
        expected = None
        while (line := self._peek()) is not None and line.startswith("@@"):
            self._at += 1
            numbers = HunkNumbers.read(line)
            if numbers is not None:
                expected = numbers.old_index
                continue
            anchor = line[2:].rstrip().removesuffix("@@").rstrip().removeprefix(" ")
            if anchor.strip():
                anchors.append(anchor)
        return tuple(anchors), expected

    def _line(self, line: str) -> HunkLine:
        end = "\r\n" if line.endswith("\r") else "\n"
        text = line.removesuffix("\r")
        match text[:1]:
            case "":
                return HunkLine(" ", "", end, blank=True)
            case " ":
                return HunkLine(" ", text[1:], end)
            case "-":
                return HunkLine("-", text[1:], end)
            case "+":
                return HunkLine("+", text[1:], end)
        raise EnvelopeError(
            f"Line {self._at} of the patch: a line of a hunk begins with a space (context), "
            f"- or +; there is {line[:80]!r}."
        )

    @staticmethod
    def _is_mark(line: str) -> bool:
        marks = (END, _ADD, _DELETE, _UPDATE)
        return line.startswith("***") and line.rstrip().startswith(marks)
