"""Rounding to whole cents."""

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def round_price(amount: Decimal) -> Decimal:
    """The amount, rounded to the cent."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)
