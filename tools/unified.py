"""Reads unified diffs: git's and plain ones, also with the wrong counts that models write."""

import re
from dataclasses import dataclass

from tools.hunks import FileChange, Hunk, HunkLine
from tools.tool import ToolError

NO_LINE_FEED = "\\ No newline"
_NUMBERS = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_PREFIXES = (("a/", "b/"), ("i/", "w/"), ("c/", "i/"), ("c/", "w/"), ("o/", "w/"), ("old/", "new/"))
_NOWHERE = "/dev/null"
_EXTENDED = (
    "index ", "old mode ", "new mode ", "new file mode ", "deleted file mode ", "similarity index ",
    "dissimilarity index ", "rename from ", "rename to ", "copy from ", "copy to ",
)  # fmt: skip
_SIGNATURE = "-- "
_ESCAPES = {"n": 10, "t": 9, "r": 13, '"': 34, "\\": 92, "a": 7, "b": 8, "f": 12, "v": 11}


class DiffError(ToolError):
    """A text that is no unified diff, or one that asks for what cannot be done."""


@dataclass(frozen=True)
class HunkNumbers:
    """The numbers of `@@ -3,4 +3,5 @@`."""

    old_start: int
    old_count: int
    new_count: int

    @classmethod
    def read(cls, line: str) -> "HunkNumbers | None":
        found = _NUMBERS.match(line)
        if found is None:
            return None
        start, old, _, new = found.groups()
        numbers = [int(number[:9]) if number else 1 for number in (start, old, new)]
        return cls(*numbers)

    @property
    def old_index(self) -> int:
        """The index of the first old line; with no old lines, of the line that the new ones go
        before."""
        return self.old_start if self.old_count == 0 else max(0, self.old_start - 1)


def looks_like_diff(text: str) -> bool:
    """Whether the text holds what begins a file in a unified diff."""
    return bool(re.search(r"^(diff --git |--- .*\n\+\+\+ )", text, re.MULTILINE))


def parse_unified(text: str) -> list[FileChange]:
    """The changes in a unified diff; DiffError names the line that cannot be read."""
    return _Reader(text).changes()


@dataclass
class _Header:
    """What stands above a file's hunks."""

    old: str = ""
    new: str = ""
    added: bool = False
    deleted: bool = False
    executable: bool | None = None
    renamed: bool = False
    copied: bool = False


class _Reader:
    def __init__(self, text: str) -> None:
        lines = text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        heads = [line for line in lines if line.startswith(("--- ", "+++ ", "@@ ", "diff --git "))]
        crlf = bool(heads) and all(line.endswith("\r") for line in heads)
        self._lines = [line.removesuffix("\r") for line in lines] if crlf else lines
        self._at = 0

    def changes(self) -> list[FileChange]:
        while self._at < len(self._lines) and not self._file_begins(self._at):
            self._at += 1  # a mail's header, a code fence, a sentence of the model
        changes: list[FileChange] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if self._file_begins(self._at):
                changes.append(self._change())
            elif line.rstrip() in ("", "--", "```", "EOF"):
                if line == _SIGNATURE:
                    break
                self._at += 1
            else:
                raise DiffError(
                    f"Line {self._at + 1} of the diff is neither a file's header nor part of a "
                    f"hunk (hunk lines begin with a space, - or +): {line[:80]!r}."
                )
        if not changes:
            raise DiffError('The diff changes no file: "--- a/x", "+++ b/x", "@@ ..." are wanted.')
        return changes

    def _file_begins(self, at: int) -> bool:
        if self._lines[at].startswith("diff --git "):
            return True
        heads = zip(self._lines[at : at + 3], ("--- ", "+++ ", "@@"), strict=False)
        matched = [line.startswith(head) for line, head in heads]
        return len(matched) == 3 and all(matched)

    def _change(self) -> FileChange:
        start = self._at + 1
        header = _Header()
        if self._lines[self._at].startswith("diff --git "):
            self._git_header(header)
        pair = self._lines[self._at : self._at + 2]
        if len(pair) == 2 and pair[0].startswith("--- ") and pair[1].startswith("+++ "):
            self._plain_header(header, *map(_header_name, pair))
        hunks: list[Hunk] = []
        while self._at < len(self._lines) and self._lines[self._at].startswith("@@"):
            hunks.append(self._hunk(len(hunks) + 1))
        return _file_change(header, tuple(hunks), start)

    def _git_header(self, header: _Header) -> None:
        header.old, header.new = _git_names(self._lines[self._at])
        self._at += 1
        while self._at < len(self._lines) and self._lines[self._at].startswith(_EXTENDED):
            line = self._lines[self._at]
            self._at += 1
            if line.startswith(("new file mode ", "new mode ")):
                mode = line.split()[-1]
                if mode not in ("100644", "100755"):
                    raise DiffError(f"Line {self._at} of the diff: mode {mode} cannot be written.")
                header.executable = mode == "100755"
                header.added = header.added or line.startswith("new file")
            elif line.startswith("deleted file mode "):
                header.deleted = True
            elif line.startswith(("rename from ", "copy from ")):
                header.old = _unquoted(line.split(" ", 2)[2])
                header.copied = line.startswith("copy")
                header.renamed = not header.copied
            elif line.startswith(("rename to ", "copy to ")):
                header.new = _unquoted(line.split(" ", 2)[2])
        if self._at < len(self._lines) and self._lines[self._at].startswith(
            ("GIT binary patch", "Binary files ")
        ):
            raise DiffError(
                f"The diff changes a binary file ({header.new}), which apply_patch cannot do."
            )

    def _plain_header(self, header: _Header, old: str, new: str) -> None:
        self._at += 2
        header.added = header.added or old == _NOWHERE
        header.deleted = header.deleted or new == _NOWHERE
        if not header.renamed:  # the names of a rename stand above, without prefixes
            header.old, header.new = _bare_names(old, new)

    def _hunk(self, number: int) -> Hunk:
        head = self._lines[self._at]
        name = f"Hunk {number} (line {self._at + 1} of the diff)"
        numbers = HunkNumbers.read(head)
        self._at += 1
        end = self._counted_end(numbers) if numbers else None
        if end is None:
            end = self._scanned_end()
        lines = _hunk_lines(self._lines[self._at : end])
        self._at = end
        if not lines:
            raise DiffError(f"{name} has no lines.")
        anchor = "" if numbers else head.strip("@ ")
        carried = any(line.end == "\r\n" for line in lines)
        return Hunk(
            name, lines, (anchor,) if anchor else (),
            numbers.old_index if numbers else None, exact_ends=carried,
        )  # fmt: skip

    def _counted_end(self, numbers: HunkNumbers) -> int | None:
        """Where the hunk ends by its own counts; None when they cannot be right."""
        old, new, at = numbers.old_count, numbers.new_count, self._at
        while old > 0 or new > 0:
            kind = self._lines[at][:1] if at < len(self._lines) else "end"
            if kind not in ("", " ", "-", "+", "\\", "\r"):
                return None
            old -= kind in ("", " ", "-", "\r")
            new -= kind in ("", " ", "+", "\r")
            at += 1
        if old < 0 or new < 0:
            return None
        if at < len(self._lines) and self._lines[at].startswith("\\"):
            at += 1
        return at if self._ends(at) else None

    def _ends(self, at: int) -> bool:
        """Whether a hunk may end before this line."""
        if at >= len(self._lines) or self._file_begins(at):
            return True
        line = self._lines[at]
        return line[:1] not in (" ", "-", "+") or line == _SIGNATURE

    def _scanned_end(self) -> int:
        """Where the hunk ends by its looks: at the next header, or the end."""
        at = self._at
        while at < len(self._lines):
            line = self._lines[at]
            if self._file_begins(at) or line[:1] not in ("", " ", "-", "+", "\\", "\r"):
                break
            if line == _SIGNATURE and at + 3 >= len(self._lines):
                break
            at += 1
        while at > self._at and not self._lines[at - 1].strip("\r"):
            at -= 1  # empty lines between two files
        return at


def _hunk_lines(lines: list[str]) -> tuple[HunkLine, ...]:
    found: list[HunkLine] = []
    for line in lines:
        end = "\r\n" if line.endswith("\r") else "\n"
        text = line.removesuffix("\r")
        if line.startswith("\\"):
            if found:
                found[-1] = found[-1].without_line_feed()
            continue
        if text.startswith("+"):
            found.append(HunkLine("+", text[1:], end))
        elif text.startswith("-"):
            found.append(HunkLine("-", text[1:], end))
        else:
            found.append(HunkLine(" ", text[1:], end, blank=not text))
    return tuple(found)


def _file_change(header: _Header, hunks: tuple[Hunk, ...], line: int) -> FileChange:
    if header.added and header.deleted:
        raise DiffError(f"Line {line} of the diff names no file.")
    if header.deleted:
        return FileChange("delete", header.new)
    if header.added:
        added = [one for hunk in hunks for one in hunk.lines if one.kind == "+"]
        content = "".join(one.text + one.end for one in added)
        return FileChange("add", header.new, content=content, executable=header.executable)
    if header.copied:
        raise DiffError(
            f"The diff copies {header.old} to {header.new}, which apply_patch cannot do.",
            "Add the new file with its whole text instead.",
        )
    if not hunks and not header.renamed and header.executable is None:
        raise DiffError(f"Line {line} of the diff: no hunk (@@ ...) follows for {header.new}.")
    path = header.old if header.renamed else header.new
    move_to = header.new if header.renamed else None
    return FileChange("update", path, hunks, move_to=move_to, executable=header.executable)


def _git_names(line: str) -> tuple[str, str]:
    """The two names of `diff --git a/x b/x`, which is ambiguous only when they differ."""
    rest = line.removeprefix("diff --git ").strip()
    if rest.startswith('"'):
        quoted = re.findall(r'"(?:[^"\\]|\\.)*"|\S+', rest)
        if len(quoted) == 2:
            return _bare_names(_unquoted(quoted[0]), _unquoted(quoted[1]))
    for middle in (match.start() for match in re.finditer(" ", rest)):
        old, new = _bare_names(rest[:middle], rest[middle + 1 :])
        if old == new:
            return old, new
    first, _, second = rest.partition(" ")
    return _bare_names(_unquoted(first), _unquoted(second))


def _header_name(line: str) -> str:
    """The name in `--- a/x`, without the time that may follow after a tab."""
    name = line[4:].rstrip("\r")
    if name.startswith('"'):
        return _unquoted(name.strip())
    name = name.partition("\t")[0].strip()
    return re.sub(r" +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d.*$", "", name)


def _bare_names(old: str, new: str) -> tuple[str, str]:
    """Both names without the prefixes that diff tools put before them; /dev/null is the other's."""
    for prefixes in (*_PREFIXES, *((b, a) for a, b in _PREFIXES)):
        pair = list(zip((old, new), prefixes, strict=True))
        if all(name == _NOWHERE or name.startswith(prefix) for name, prefix in pair):
            old, new = (
                name if name == _NOWHERE else name.removeprefix(prefix) for name, prefix in pair
            )
            break
    return (new if old == _NOWHERE else old), (old if new == _NOWHERE else new)


def _unquoted(name: str) -> str:
    """A name as git quotes it, `"caf\\303\\251"`, as it is."""
    if not (name.startswith('"') and name.endswith('"') and len(name) > 1):
        return name

    def byte(match: re.Match[bytes]) -> bytes:
        code = match.group(1).decode("ascii", "replace")
        return bytes([int(code, 8) & 0xFF if code[0] in "01234567" else _ESCAPES.get(code, 63)])

    raw = name[1:-1].encode("utf-8", "surrogateescape")
    raw = re.sub(rb"\\([0-7]{1,3}|.)", byte, raw)
    return raw.decode("utf-8", "surrogateescape")
