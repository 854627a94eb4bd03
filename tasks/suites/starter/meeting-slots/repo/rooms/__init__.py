"""Find free time in the calendars of rooms and people."""

from rooms.free import first_slot, free_slots
from rooms.period import Period, merge

__all__ = ["Period", "first_slot", "free_slots", "merge"]
