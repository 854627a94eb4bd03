"""Numbers about the readings of one sensor."""

from collections.abc import Sequence
from dataclasses import dataclass

from sensors.reading import Reading


@dataclass(frozen=True)
class Summary:
    """Without readings there are no temperatures: they are None then."""

    count: int
    lowest: float | None
    highest: float | None
    mean: float | None


def summarise(readings: Sequence[Reading]) -> Summary:
    values = [reading.celsius for reading in readings]
    mean = round(sum(values) / len(values), 2)
    return Summary(len(values), min(values), max(values), mean)


def gaps(readings: Sequence[Reading], minutes: int) -> list[tuple[Reading, Reading]]:
    """Neighbouring readings that are more than `minutes` apart."""
    ordered = sorted(readings, key=lambda reading: reading.time)
    pairs = zip(ordered, ordered[1:], strict=False)
    return [(a, b) for a, b in pairs if (b.time - a.time).total_seconds() > minutes * 60]
