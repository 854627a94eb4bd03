"""Doors with opening hours and groups that may pass."""

import datetime
from dataclasses import dataclass


@dataclass(frozen=True)
class Hours:
    """From `opens` until `closes`, on the same day; closed at `closes` sharp."""

    opens: datetime.time
    closes: datetime.time

    def include(self, time):
        return time >= self.opens or time < self.closes


ALL_DAY = Hours(datetime.time.min, datetime.time.max)


@dataclass(frozen=True)
class Door:
    name: str
    groups: frozenset
    hours: Hours = ALL_DAY
