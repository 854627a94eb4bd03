"""Text from models, containers and files made safe and fit for a terminal."""

import unicodedata
from collections.abc import Sequence

#: Characters that change how text around them is shown: bidirectional controls and tags.
_UNSEEN = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}
_UNSEEN_KINDS = frozenset({"Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_NAMES = {"\x1b": "\\e", "\r": "\\r", "\x00": "\\0", "\b": "\\b", "\x07": "\\a"}


def visible(text: str) -> str:
    """`text` with every control character shown escaped, so that none acts on the terminal.

    Newlines and tabs stay; a carriage return at the end of a line is dropped.
    """
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in "\n\t" or character.isprintable():
        return character
    if character in _NAMES:
        return _NAMES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    if code in _UNSEEN or unicodedata.category(character) in _UNSEEN_KINDS:
        return f"\\u{{{code:x}}}"
    return character


def one_line(text: str, width: int) -> str:
    """The text's words on one line of at most `width` characters, `...` where it was cut."""
    flat = visible(" ".join(text.split()))
    return flat if len(flat) <= width else flat[: max(0, width - 3)] + "..."


def count(number: int, noun: str) -> str:
    """`1 test`, `3 tests`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 3 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def size(number: float) -> str:
    """`512 B`, `3.4 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows in aligned columns, two spaces apart; the last column is not padded."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)
