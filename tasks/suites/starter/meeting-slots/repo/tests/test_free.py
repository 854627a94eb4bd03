import pytest

from rooms import Period, first_slot, free_slots

DAY = Period.parse("09:00-17:00")


def periods(*texts):
    return [Period.parse(text) for text in texts]


def test_an_empty_calendar_leaves_the_whole_day():
    assert free_slots(DAY, []) == [DAY]


def test_meetings_cut_the_day():
    slots = free_slots(DAY, periods("10:00-11:00", "12:00-13:30"))
    assert slots == periods("09:00-10:00", "11:00-12:00", "13:30-17:00")


def test_short_slots_are_left_out():
    assert free_slots(DAY, periods("09:30-16:00"), minutes=45) == periods("16:00-17:00")


def test_meetings_outside_the_day_do_not_matter():
    assert free_slots(DAY, periods("07:00-09:00", "17:00-18:00")) == [DAY]


def test_a_meeting_may_reach_out_of_the_day():
    slots = free_slots(DAY, periods("08:00-09:30", "16:30-18:00"))
    assert slots == periods("09:30-16:30")


def test_the_first_slot_that_suits_everybody():
    ann = periods("09:00-10:00", "13:00-15:00")
    bob = periods("09:30-11:30", "12:00-12:30")
    assert first_slot(DAY, [ann, bob], minutes=60) == Period.parse("15:00-16:00")


def test_a_workshop_with_a_break_inside_blocks_the_day():
    calendars = [periods("09:00-16:30"), periods("12:00-12:30")]
    assert first_slot(DAY, calendars, minutes=30) == Period.parse("16:30-17:00")


@pytest.mark.parametrize("minutes", [481, 600])
def test_nothing_fits_that_is_longer_than_the_day(minutes):
    assert first_slot(DAY, [], minutes) is None
