"""Stretches of time within one day, in minutes since midnight."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Period:
    """From `start` up to, but not including, `end`."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 24 * 60:
            raise ValueError(f"not a period of a day: {self.start} to {self.end}")

    @property
    def minutes(self) -> int:
        return self.end - self.start

    def overlaps(self, other: "Period") -> bool:
        return self.start < other.end and other.start < self.end

    @classmethod
    def parse(cls, text: str) -> "Period":
        """A period such as '09:30-11:00'."""
        start, _, end = text.partition("-")
        return cls(_minutes(start), _minutes(end))

    def __str__(self) -> str:
        return f"{_clock(self.start)}-{_clock(self.end)}"


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def merge(periods: Iterable[Period]) -> list[Period]:
    """The same time in as few periods as possible, in order; touching ones are joined."""
    merged: list[Period] = []
    for period in periods:
        if merged and period.start <= merged[-1].end:
            merged[-1] = Period(merged[-1].start, period.end)
        else:
            merged.append(period)
    return merged
