from decimal import Decimal

from billing.money import money, percent, show


def test_half_a_cent_is_rounded_up():
    assert money("1.005") == Decimal("1.01")


def test_percent_of_an_amount():
    assert percent(Decimal("80.00"), Decimal(15)) == Decimal("12.00")


def test_thousands_are_grouped():
    assert show(Decimal("1234.5")) == "1,234.50 EUR"
