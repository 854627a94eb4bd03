import pytest

from scheduling import IntervalError, parse_interval, show_interval


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("90m", 5400), ("1h 30m", 5400)])
def test_intervals_are_parsed(text, seconds):
    assert parse_interval(text) == seconds


def test_a_week_has_seven_days():
    assert parse_interval("1w") == 7 * 24 * 60 * 60
    assert parse_interval("7d") == parse_interval("1w")


@pytest.mark.parametrize("text", ["", "soon", "5", "h5", "1h-30m"])
def test_other_texts_are_refused(text):
    with pytest.raises(IntervalError):
        parse_interval(text)


def test_an_unknown_unit_is_named():
    with pytest.raises(IntervalError, match="'y'"):
        parse_interval("1y")


def test_an_empty_interval_is_refused():
    with pytest.raises(IntervalError):
        parse_interval("0h")


def test_an_interval_is_shown_in_large_units():
    assert show_interval(5400) == "1h30m"
    assert show_interval(0) == "0s"


def test_a_day_and_a_half():
    assert show_interval(36 * 3600) == "1d12h"
