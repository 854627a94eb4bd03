import pytest

from units import Quantity, UnitError


def test_a_quantity_is_parsed():
    assert Quantity.parse(" 12.5 km ") == Quantity(12.5, "km")


def test_words_are_no_quantity():
    with pytest.raises(UnitError):
        Quantity.parse("a few metres")


def test_a_quantity_in_another_unit():
    assert Quantity(90, "min").to("h") == Quantity(1.5, "h")


def test_quantities_of_one_unit_are_added():
    assert Quantity(1, "m") + Quantity(2, "m") == Quantity(3, "m")


def test_a_sum_keeps_the_left_unit():
    total = Quantity(1, "km") + Quantity(250, "m")
    assert total.unit == "km"
    assert total.amount == pytest.approx(1.25)


def test_a_quantity_is_scaled():
    assert Quantity(2, "kg") * 3 == Quantity(6, "kg")


def test_apples_are_not_added_to_hours():
    with pytest.raises(UnitError):
        Quantity(1, "kg") + Quantity(1, "h")


def test_a_quantity_is_shown_with_its_unit():
    assert str(Quantity(2.50, "t")) == "2.5 t"
