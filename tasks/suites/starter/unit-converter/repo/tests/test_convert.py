import pytest

from units import UnitError, convert


def test_larger_units_give_smaller_numbers():
    assert convert(1500, "m", "km") == pytest.approx(1.5)


def test_a_unit_is_itself():
    assert convert(3, "kg", "kg") == 3


def test_imperial_units_are_known():
    assert convert(1, "ft", "in") == pytest.approx(12)


def test_different_dimensions_do_not_convert():
    with pytest.raises(UnitError, match="cannot convert kg to m"):
        convert(1, "kg", "m")


def test_unknown_units_are_named():
    with pytest.raises(UnitError, match="parsec"):
        convert(1, "m", "parsec")
