"""Events by the calendar days of an office."""

from collections import Counter

from eventlog.event import Event


def local_time(event: Event, office):
    """When the event happened, on the clocks of the office."""
    return event.time.replace(tzinfo=office.zone)


def count_by_day(events, office):
    """The number of events on each date, in the order of the dates."""
    return dict(sorted(Counter(local_time(event, office).date() for event in events).items()))


def busiest_hour(events, office):
    """The hour of the day with the most events, the earliest of equals; None without events."""
    hours = Counter(local_time(event, office).hour for event in events)
    if not hours:
        return None
    return min(hours, key=lambda hour: (-hours[hour], hour))


def show(event, office):
    """For instance '2024-03-01 08:30 Tokyo  login'."""
    return f"{local_time(event, office):%Y-%m-%d %H:%M} {office.city}  {event.name}"
