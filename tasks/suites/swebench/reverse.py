"""A unified diff in git's format the other way round."""

import re

from sandbox.errors import UsageError

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)", re.DOTALL)
_INDEX = re.compile(rb"index ([0-9a-f]+)\.\.([0-9a-f]+)(.*)", re.DOTALL)
_SWAPPED = (
    (b"new file mode ", b"deleted file mode "),
    (b"old mode ", b"new mode "),
    (b"rename from ", b"rename to "),
)


def reversed_diff(diff: bytes) -> bytes:
    """The diff that takes back what `diff` does. Raises UsageError for a binary one."""
    made: list[bytes] = []
    left = right = 0  # lines of the hunk that are still to come, on either side
    for line in diff.splitlines(keepends=True):
        if left > 0 or right > 0 or line.startswith(b"\\"):
            kind = line[:1]
            left -= kind in (b"-", b" ", b"\n")
            right -= kind in (b"+", b" ", b"\n")
            swapped = {b"-": b"+", b"+": b"-"}.get(kind)
            made.append(swapped + line[1:] if swapped else line)
        elif found := _HUNK.match(line):
            old, old_lines, new, new_lines, rest = found.groups()
            left, right = int(old_lines or 1), int(new_lines or 1)
            made.append(
                b"@@ -%s,%d +%s,%d @@%s" % (new, right, old, left, rest),
            )
        else:
            made.append(_header(line))
    return b"".join(_ordered(made))


def _header(line: bytes) -> bytes:
    if line.startswith((b"GIT binary patch", b"Binary files ")):
        raise UsageError("A binary diff cannot be turned round.")
    if line.startswith(b"diff --git "):
        return line
    if line.startswith((b"--- ", b"+++ ")):
        name = line[4:]
        name = re.sub(rb"^([ab])/", lambda m: b"b/" if m[1] == b"a" else b"a/", name)
        return (b"+++ " if line[:1] == b"-" else b"--- ") + name
    if found := _INDEX.match(line):
        return b"index %s..%s%s" % (found[2], found[1], found[3])
    for one, other in _SWAPPED:
        for old, new in ((one, other), (other, one)):
            if line.startswith(old):
                return new + line[len(old) :]
    return line


def _ordered(lines: list[bytes]) -> list[bytes]:
    """With `---` before `+++`, and the old mode and name before the new."""
    for n in range(len(lines) - 1):
        first, second = lines[n : n + 2]
        pairs = ((b"+++ ", b"--- "), (b"new mode ", b"old mode "), (b"rename to ", b"rename from "))
        if any(first.startswith(late) and second.startswith(early) for late, early in pairs):
            lines[n : n + 2] = [second, first]
    return lines
