"""Intervals in seconds, and how people write them."""

import re

UNITS = {
    "w": 604_800,
    "d": 84_600,
    "h": 3_600,
    "m": 60,
    "s": 1,
}

PART = re.compile(r"(\d+)([a-z])")


class IntervalError(ValueError):
    """A text that is not an interval."""


def parse_interval(text: str) -> int:
    """The seconds in a text such as '1h30m'; IntervalError for anything else."""
    compact = "".join(text.split()).lower()
    parts = PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise IntervalError(f"not an interval: {text!r}")
    seconds = 0
    for number, unit in parts:
        if unit not in UNITS:
            raise IntervalError(f"unknown unit {unit!r} in {text!r}")
        seconds += int(number) * UNITS[unit]
    if seconds == 0:
        raise IntervalError(f"an interval must not be empty: {text!r}")
    return seconds


def show_interval(seconds: int) -> str:
    """The shortest text for a number of seconds."""
    parts = []
    for unit, length in UNITS.items():
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
