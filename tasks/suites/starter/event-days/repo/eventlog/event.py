"""One event, and how it is stored."""

import json
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class Event:
    """Something that happened; `time` is always aware and in UTC."""

    name: str
    time: datetime

    def __post_init__(self):
        if self.time.tzinfo is None:
            raise ValueError(f"{self.name}: the time has no zone")


def parse_event(line):
    """An event from a JSON line with `name` and `time` (ISO 8601, any zone)."""
    data = json.loads(line)
    return Event(data["name"], datetime.fromisoformat(data["time"]).astimezone(timezone.utc))


def dump_event(event):
    return json.dumps({"name": event.name, "time": event.time.isoformat()})
