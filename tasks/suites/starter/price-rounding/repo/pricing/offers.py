"""Special offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pricing.rounding import round_price


@dataclass(frozen=True)
class Offer:
    """`percent` off, from `least` pieces on."""

    percent: int
    least: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.percent <= 100:
            raise ValueError(f"not a discount: {self.percent}%")


def unit_price(price: Decimal, pieces: int, offers: Sequence[Offer]) -> Decimal:
    """The price of one piece with the best of the offers that apply."""
    best = max((offer.percent for offer in offers if pieces >= offer.least), default=0)
    return round_price(price * (100 - best) / 100)


def order_price(price: Decimal, pieces: int, offers: Sequence[Offer]) -> Decimal:
    return pieces * unit_price(price, pieces, offers)
