"""Readings as the devices send them: 'kitchen 2024-05-01T10:00 21.4'."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Reading:
    sensor: str
    time: datetime
    celsius: float


def parse_reading(line: str) -> Reading:
    """One reading; ValueError names the line."""
    try:
        sensor, time, celsius = line.split()
        return Reading(sensor, datetime.fromisoformat(time), float(celsius))
    except ValueError as error:
        raise ValueError(f"not a reading: {line!r}") from error


def by_sensor(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.sensor, []).append(reading)
    return groups
