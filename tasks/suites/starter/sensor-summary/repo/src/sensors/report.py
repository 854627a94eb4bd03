"""A line of text for every sensor of a house."""

from collections.abc import Iterable, Sequence

from sensors.reading import Reading, by_sensor
from sensors.summary import Summary, summarise


def describe(name: str, summary: Summary) -> str:
    if summary.count == 0:
        return f"{name}: no readings"
    return f"{name}: {summary.lowest:.1f} to {summary.highest:.1f}, mean {summary.mean:.1f}"


def report(sensors: Sequence[str], readings: Iterable[Reading]) -> list[str]:
    """One line for each of the sensors, also for those that were silent."""
    groups = by_sensor(readings)
    return [describe(name, summarise(groups.get(name, []))) for name in sensors]
