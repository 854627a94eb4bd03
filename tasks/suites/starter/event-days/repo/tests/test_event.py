from datetime import datetime, timezone

import pytest

from eventlog.event import Event, dump_event, parse_event


def test_times_are_turned_into_utc():
    event = parse_event('{"name": "login", "time": "2024-03-01T08:30:00+09:00"}')
    assert event.time == datetime(2024, 2, 29, 23, 30, tzinfo=timezone.utc)
    assert event.time.hour == 23


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValueError, match="login"):
        Event("login", datetime(2024, 3, 1))


def test_events_survive_being_stored():
    event = Event("login", datetime(2024, 3, 1, 12, tzinfo=timezone.utc))
    assert parse_event(dump_event(event)) == event
