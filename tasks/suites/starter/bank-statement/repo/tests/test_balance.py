from decimal import Decimal

import pytest

from ledger import (
    StatementError,
    closing_balance,
    lowest_balance,
    parse_statement,
    running_balances,
)

FEBRUARY = """\
# account 1234
2024-02-01  Salary              2,500.00
2024-02-05  Book shop              45.50-
2024-02-03  Rent                1,200.00-
2024-02-05  Bakery                  4.50-
"""


@pytest.fixture
def bookings():
    return parse_statement(FEBRUARY.splitlines())


def test_comments_are_skipped(bookings):
    assert len(bookings) == 4


def test_texts_are_kept(bookings):
    assert bookings[1].text == "Book shop"


def test_a_bad_line_is_named():
    with pytest.raises(StatementError, match="line 2: not an amount: 'much'"):
        parse_statement(["2024-02-01 Salary 2,500.00", "2024-02-02 Rent much"])


def test_small_bookings_are_followed_in_order():
    lines = ["2024-02-02 Tea 2.00-", "2024-02-01 Coffee 3.00-", "2024-02-02 Refund 1.00"]
    balances = running_balances(parse_statement(lines), Decimal(10))
    assert balances == [Decimal(7), Decimal(5), Decimal(6)]


def test_bookings_are_sorted_by_day_before_balancing(bookings):
    balances = running_balances(bookings, Decimal(0))
    expected = [Decimal(2500), Decimal(1300), Decimal("1254.50"), Decimal("1250.00")]
    assert balances == expected, "the bookings were added up in the wrong order"


def test_the_order_of_days_decides_the_lowest_balance(bookings):
    lowest = lowest_balance(bookings, Decimal(100))
    assert lowest == Decimal(100), "rent was booked before the salary"


def test_bookings_of_several_months_are_sorted():
    lines = ["2024-03-01 Car 12,345.60-", "2024-02-01 Salary 2,500.00"]
    closing = closing_balance(parse_statement(lines), Decimal(20000))
    assert closing == Decimal("10154.40"), "March was booked before February"


def test_the_closing_balance_without_bookings_is_the_opening_one():
    assert closing_balance([], Decimal(12)) == Decimal(12)
