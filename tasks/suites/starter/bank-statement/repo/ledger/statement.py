"""Lines such as '2024-02-01  Rent                1,200.00-'."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from ledger.amounts import parse_amount


class StatementError(ValueError):
    """A statement that cannot be read; the message names the line."""


@dataclass(frozen=True)
class Booking:
    day: date
    text: str
    amount: Decimal


def parse_line(line: str) -> Booking:
    day, *words, amount = line.split()
    return Booking(date.fromisoformat(day), " ".join(words), parse_amount(amount))


def parse_statement(lines: Iterable[str]) -> list[Booking]:
    """All bookings; lines that are empty or start with # are skipped."""
    bookings = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            bookings.append(parse_line(line))
        except ValueError as error:
            raise StatementError(f"line {number}: {error}") from error
    return bookings
