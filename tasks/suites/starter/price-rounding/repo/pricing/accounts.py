"""Shares of an amount for the accounts."""

from decimal import Decimal

from pricing.rounding import CENT, round_price


def net(gross: Decimal, tax_rate: int) -> Decimal:
    """The part of a gross price that is not tax."""
    return round_price(gross * 100 / (100 + tax_rate))


def split(amount: Decimal, ways: int) -> list[Decimal]:
    """Equal shares that add up to the amount; the first ones get the cents left over."""
    if ways < 1:
        raise ValueError("an amount is split at least one way")
    cents, left_over = divmod(int(amount / CENT), ways)
    return [(cents + (share < left_over)) * CENT for share in range(ways)]
