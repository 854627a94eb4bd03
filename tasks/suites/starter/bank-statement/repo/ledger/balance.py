"""The balance after each booking."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import accumulate

from ledger.statement import Booking


def in_order(bookings: Iterable[Booking]) -> list[Booking]:
    """By day; bookings of one day stay in the order of the statement."""
    return sorted(bookings, key=lambda booking: booking.day)


def running_balances(bookings: Iterable[Booking], opening: Decimal) -> list[Decimal]:
    """The balance after each booking, in the order of the days."""
    amounts = [booking.amount for booking in in_order(bookings)]
    return list(accumulate(amounts, initial=opening))[1:]


def closing_balance(bookings: Iterable[Booking], opening: Decimal) -> Decimal:
    return [opening, *running_balances(bookings, opening)][-1]


def lowest_balance(bookings: Iterable[Booking], opening: Decimal) -> Decimal:
    return min([opening, *running_balances(bookings, opening)])
