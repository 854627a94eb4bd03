"""What is left of a day."""

from collections.abc import Iterable

from rooms.period import Period, merge


def free_slots(day: Period, busy: Iterable[Period], minutes: int = 1) -> list[Period]:
    """The parts of `day` outside all busy periods that last at least `minutes`."""
    slots = []
    start = day.start
    for period in merge(period for period in busy if period.overlaps(day)):
        if period.start > start:
            slots.append(Period(start, period.start))
        start = period.end
    if start < day.end:
        slots.append(Period(start, day.end))
    return [slot for slot in slots if slot.minutes >= minutes]


def first_slot(day: Period, calendars: Iterable[Iterable[Period]], minutes: int) -> Period | None:
    """The earliest time of that length when nobody is busy; None when there is none."""
    busy = [period for calendar in calendars for period in calendar]
    for slot in free_slots(day, busy, minutes):
        return Period(slot.start, slot.start + minutes)
    return None
