"""Amounts as the bank prints them: 1,250.00 or, for money that leaves, 45.50-."""

import re
from decimal import Decimal

AMOUNT = re.compile(r"((?P<thousands>\d{1,3}),(?=\d{3}))?(?P<rest>\d{1,3}\.\d\d)(?P<sign>-?)")


def parse_amount(text: str) -> Decimal:
    """The signed amount, below a million; ValueError for anything else."""
    match = AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"not an amount: {text!r}")
    thousands = Decimal(match["thousands"] or 0)
    rest = Decimal(match["rest"])
    if match["sign"]:
        rest = -rest
    return 1000 * thousands + rest


def show_amount(amount: Decimal) -> str:
    return f"{abs(amount):,.2f}" + ("-" if amount < 0 else "")
