from datetime import date, datetime, timezone

from eventlog.daily import busiest_hour, count_by_day, show
from eventlog.event import Event
from eventlog.office import MUMBAI, PHOENIX, TOKYO, Office

GREENWICH = Office("Greenwich", 0)


def event(day, hour, minute=0):
    return Event("login", datetime(2024, 3, day, hour, minute, tzinfo=timezone.utc))


def test_days_in_greenwich_are_those_of_utc():
    counts = count_by_day([event(1, 0), event(1, 23), event(2, 0)], GREENWICH)
    assert counts == {date(2024, 3, 1): 2, date(2024, 3, 2): 1}


def test_no_events_have_no_days():
    assert count_by_day([], TOKYO) == {}


def test_the_evening_in_utc_is_tomorrow_in_tokyo():
    assert count_by_day([event(1, 14), event(1, 15)], TOKYO) == {
        date(2024, 3, 1): 1,
        date(2024, 3, 2): 1,
    }


def test_the_morning_in_utc_is_yesterday_in_phoenix():
    assert count_by_day([event(1, 6), event(1, 7)], PHOENIX) == {
        date(2024, 2, 29): 1,
        date(2024, 3, 1): 1,
    }


def test_without_events_no_hour_is_busy():
    assert busiest_hour([], PHOENIX) is None


def test_the_earliest_of_equally_busy_hours():
    assert busiest_hour([event(1, 9), event(2, 8)], GREENWICH) == 8


def test_offices_may_be_half_an_hour_apart():
    assert show(event(1, 3), MUMBAI) == "2024-03-01 08:30 Mumbai  login"
