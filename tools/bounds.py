"""Texts for a model, kept within bounds: what was cut is always said, and how to see it."""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def bound_text(text: str, limit: int, advice: str, *, head_share: float = 0.4) -> str:
    """`text` in about `limit` characters: its beginning and its end, cut between lines if it can.

    A line in the middle says how much is missing, followed by `advice` (how to see the rest).
    `head_share` is the part of the limit that the beginning gets.
    """
    if len(text) <= limit:
        return text
    head_size = int(limit * head_share)
    head = _whole_lines(text[:head_size])
    tail_start = len(text) - (limit - head_size)
    tail = text[tail_start:]
    line_start = tail.find("\n") + 1
    if 0 < line_start <= len(tail) // 2:
        tail = tail[line_start:]
    missing = len(text) - len(head) - len(tail)
    lines = text.count("\n", len(head), len(text) - len(tail))
    what = f"{missing:,} characters" + (f" ({lines:,} lines)" if lines > 1 else "")
    separator = "" if not head or head.endswith("\n") else "\n"
    return f"{head}{separator}[... {what} left out here; {advice} ...]\n{tail}"


def _whole_lines(head: str) -> str:
    end = head.rfind("\n") + 1
    return head[:end] if end >= len(head) // 2 else head


def clip_line(line: str, limit: int) -> str:
    """One line in at most about `limit` characters; what was cut off at its end is counted."""
    if len(line) <= limit:
        return line
    return f"{line[:limit]} [... {len(line) - limit:,} more characters in this line]"


def sendable(text: str) -> str:
    """`text` without lone surrogates (bytes that were no text), which no model input can hold."""
    return _SURROGATE.sub("\ufffd", text)


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 line`, `2 lines`; `plural` where adding an s is wrong."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
