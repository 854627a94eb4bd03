"""Amounts of money are decimals with two places."""

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def money(value) -> Decimal:
    """`value` as an amount, rounded half up to the cent."""
    return Decimal(value).quantize(CENT, rounding=ROUND_HALF_UP)


def percent(amount: Decimal, rate: Decimal) -> Decimal:
    """`rate` percent of `amount`, rounded to the cent."""
    return money(amount * rate / 100)


def show(amount: Decimal, currency: str = "EUR") -> str:
    return f"{amount:,.2f} {currency}"
