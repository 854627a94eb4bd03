import pytest

from stockroom import Item, OutOfStock, Stock


def test_an_unknown_article_has_no_stock():
    assert Stock().on_hand("B-100") == 0


def test_a_delivery_adds_to_the_stock():
    stock = Stock({"B-100": 4})
    stock.receive("B-100", 6)
    assert stock.on_hand("B-100") == 10


def test_issuing_takes_pieces_off_the_shelf():
    stock = Stock({"B-100": 4})
    stock.issue("B-100", 4)
    assert stock.on_hand("B-100") == 0


def test_issuing_too_much_changes_nothing():
    stock = Stock({"B-100": 4})
    with pytest.raises(OutOfStock):
        stock.issue("B-100", 5)
    assert stock.on_hand("B-100") == 4


def test_an_empty_delivery_is_refused():
    with pytest.raises(ValueError):
        Stock().receive("B-100", 0)


def test_a_target_below_the_reorder_level_is_refused():
    with pytest.raises(ValueError):
        Item("B-100", "Bolt", reorder_level=10, target_level=5)
