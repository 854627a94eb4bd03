import pytest

from rooms import Period, merge


def periods(*texts):
    return [Period.parse(text) for text in texts]


def test_a_period_is_parsed_and_shown():
    assert str(Period.parse("09:30-11:00")) == "09:30-11:00"
    assert Period.parse("09:30-11:00").minutes == 90


def test_a_period_does_not_end_before_it_starts():
    with pytest.raises(ValueError):
        Period.parse("11:00-09:30")


def test_touching_periods_do_not_overlap():
    morning, noon, late = periods("09:00-12:00", "12:00-13:00", "11:59-12:01")
    assert not morning.overlaps(noon)
    assert morning.overlaps(late)


def test_distant_periods_stay_apart():
    assert merge(periods("09:00-10:00", "11:00-12:00")) == periods("09:00-10:00", "11:00-12:00")


def test_touching_and_overlapping_periods_are_joined():
    merged = merge(periods("09:00-10:00", "10:00-11:00", "10:30-12:00"))
    assert merged == periods("09:00-12:00")


def test_a_period_within_another_disappears():
    merged = merge(periods("09:00-17:00", "12:00-13:00", "14:00-15:00"))
    assert merged == periods("09:00-17:00")


def test_nothing_is_merged_into_nothing():
    assert merge([]) == []
