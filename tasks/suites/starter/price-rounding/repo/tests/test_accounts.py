"""The rules of the accounts: half a cent is rounded to the even cent, so that errors cancel."""

from decimal import Decimal

import pytest

from pricing import round_price
from pricing.accounts import net, split


def test_the_net_price_is_without_tax():
    assert net(Decimal("119.00"), 19) == Decimal("100.00")


def test_half_a_cent_is_rounded_to_even():
    assert round_price(Decimal("0.125")) == Decimal("0.12")
    assert round_price(Decimal("0.135")) == Decimal("0.14")


def test_shares_add_up():
    assert split(Decimal("10.00"), 3) == [Decimal("3.34"), Decimal("3.33"), Decimal("3.33")]


def test_a_single_share_is_everything():
    assert split(Decimal("0.05"), 1) == [Decimal("0.05")]


def test_nothing_is_split_zero_ways():
    with pytest.raises(ValueError):
        split(Decimal(1), 0)
