import pytest

from sqlbuild.conditions import compare, one_of
from sqlbuild.names import BadName


def test_values_become_parameters():
    condition = compare("age", ">=", 18)
    assert condition.text == "age >= ?"
    assert condition.values == (18,)


def test_none_is_null():
    assert compare("email", "=", None).text == "email IS NULL"
    assert compare("email", "<>", None).text == "email IS NOT NULL"


def test_null_has_no_order():
    with pytest.raises(ValueError):
        compare("age", "<", None)


def test_unknown_operators_are_refused():
    with pytest.raises(ValueError, match="~~"):
        compare("age", "~~", 1)


def test_one_of_several_values():
    assert one_of("city", ["Bonn", "Bern"]).text == "city IN (?, ?)"


def test_one_of_nothing_is_never_true():
    assert one_of("city", []).text == "1 = 0"


def test_names_are_checked():
    with pytest.raises(BadName):
        compare("age; DROP TABLE users", "=", 1)
