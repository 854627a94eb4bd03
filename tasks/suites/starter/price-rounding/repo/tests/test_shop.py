"""The rules of the shop: customers know that half a cent is rounded up."""

from decimal import Decimal

import pytest

from pricing import round_price
from pricing.offers import Offer, order_price, unit_price


def test_less_than_half_a_cent_is_dropped():
    assert round_price(Decimal("0.124")) == Decimal("0.12")


def test_half_a_cent_is_rounded_up():
    assert round_price(Decimal("0.125")) == Decimal("0.13")
    assert round_price(Decimal("0.135")) == Decimal("0.14")


def test_the_best_offer_is_used():
    offers = [Offer(10), Offer(25, least=3)]
    assert unit_price(Decimal("8.00"), 2, offers) == Decimal("7.20")
    assert unit_price(Decimal("8.00"), 3, offers) == Decimal("6.00")


def test_an_order_multiplies_the_rounded_price():
    assert order_price(Decimal("0.99"), 3, [Offer(5)]) == Decimal("2.82")


def test_a_discount_is_at_most_everything():
    with pytest.raises(ValueError, match="120%"):
        Offer(120)
