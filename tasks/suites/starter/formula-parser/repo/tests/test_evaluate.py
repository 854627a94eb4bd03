import pytest

from formula import FormulaError, evaluate


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("42", 42),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("12 / 4 / 3", 1),
        ("0.5 * 3", 1.5),
    ],
)
def test_formulas_have_values(formula, value):
    assert evaluate(formula) == value


def test_names_are_looked_up():
    assert evaluate("2 * (price + 1.50)", {"price": 10}) == 23


def test_a_number_may_be_negative():
    assert evaluate("-3 + 5") == 2
    assert evaluate("2 * -3") == -6


def test_a_name_may_be_negated():
    assert evaluate("-price * 2 - -1", {"price": 10}) == -19


def test_parentheses_may_be_negated():
    assert evaluate("-(1 + 2) - 1") == -4
    assert evaluate("--5") == 5


def test_an_unknown_name_is_reported():
    with pytest.raises(FormulaError, match="prize"):
        evaluate("2 * prize", {"price": 10})


def test_division_by_zero_is_reported():
    with pytest.raises(FormulaError, match="zero"):
        evaluate("1 / (2 - 2)")


@pytest.mark.parametrize("formula", ["", "1 +", "* 2", "(1", "1)", "1 2", "()", "-"])
def test_nonsense_is_refused(formula):
    with pytest.raises(FormulaError):
        evaluate(formula)


def test_a_strange_character_is_named():
    with pytest.raises(FormulaError, match=r"\$"):
        evaluate("1 + $5")
