from decimal import Decimal

import pytest

from ledger.amounts import parse_amount, show_amount


def test_an_amount_is_parsed():
    assert parse_amount("45.50") == Decimal("45.50")


def test_thousands_are_grouped():
    assert parse_amount("1,250.00") == Decimal("1250.00")


def test_money_that_leaves_is_negative():
    assert parse_amount("45.50-") == Decimal("-45.50")


@pytest.mark.parametrize("text", ["", "12", "-45.50", "1250.00", "12,50", "1,25.00"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="not an amount"):
        parse_amount(text)


def test_amounts_are_shown_like_the_bank_does():
    assert show_amount(Decimal("-1250")) == "1,250.00-"
