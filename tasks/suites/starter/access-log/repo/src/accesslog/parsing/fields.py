"""Single fields of a log line."""

from datetime import datetime


class LogError(ValueError):
    """A line that does not look like a log entry."""


def parse_time(text: str) -> datetime:
    """A time such as 10/Oct/2000:13:55:36 +0000."""
    try:
        return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z")
    except ValueError as error:
        raise LogError(f"not a time: {text!r}") from error


def parse_size(text: str) -> int:
    """The bytes sent; servers write a dash for none."""
    if text == "-":
        return 0
    if not text.isdecimal():
        raise LogError(f"not a size: {text!r}")
    return int(text)


def parse_status(text: str) -> int:
    if len(text) != 3 or not text.isdecimal():
        raise LogError(f"not a status: {text!r}")
    return int(text)
