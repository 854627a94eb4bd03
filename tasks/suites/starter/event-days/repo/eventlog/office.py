"""Offices have fixed distances to UTC; none of ours changes its clocks."""

from dataclasses import dataclass
from datetime import timedelta, timezone


@dataclass(frozen=True)
class Office:
    city: str
    utc_hours: float

    @property
    def zone(self):
        return timezone(timedelta(hours=self.utc_hours), self.city)


TOKYO = Office("Tokyo", 9)
MUMBAI = Office("Mumbai", 5.5)
PHOENIX = Office("Phoenix", -7)
