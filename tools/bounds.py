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
    head = _beginning(text[:head_size])
    tail = _ending(text[len(text) - (limit - head_size) :])
    missing = len(text) - len(head) - len(tail)
    lines = text.count("\n", len(head), len(text) - len(tail))
    what = f"{missing:,} characters" + (f" ({lines:,} lines)" if lines > 1 else "")
    return _joined(head, what, advice, tail)


def bound_output(
    head: bytes, tail: bytes, total: int, limit: int, advice: str, *, head_share: float = 0.4
) -> str:
    """As `bound_text`, for output of which only the first and last bytes were kept, of `total`."""
    if total <= len(head) + len(tail):
        text = (head + tail).decode("utf-8", "replace")
        return bound_text(text, limit, advice, head_share=head_share)
    head_size = int(limit * head_share)
    first = _beginning(head.decode("utf-8", "replace")[:head_size])
    last = _ending(tail.decode("utf-8", "replace")[-(limit - head_size) :])
    missing = total - len(first.encode()) - len(last.encode())
    return _joined(first, f"about {missing:,} of {total:,} bytes", advice, last)


def _beginning(head: str) -> str:
    """Without the part of a line at the end, unless that would cost most of it."""
    end = head.rfind("\n") + 1
    return head[:end] if end >= len(head) // 2 else head


def _ending(tail: str) -> str:
    start = tail.find("\n") + 1
    return tail[start:] if 0 < start <= len(tail) // 2 else tail


def _joined(head: str, what: str, advice: str, tail: str) -> str:
    separator = "" if not head or head.endswith("\n") else "\n"
    return f"{head}{separator}[... {what} left out here; {advice} ...]\n{tail}"


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
