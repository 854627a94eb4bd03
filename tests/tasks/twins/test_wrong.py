"""Values made wrong are another value, whatever they were."""

import ast
import math
import random
import sys
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.twins.source import Source
from tasks.twins.wrong import false_assertion, fresh, is_literal, other_exception, wrong

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(), inner)
        | st.sets(st.integers(), min_size=1)
    ),
    max_leaves=8,
)
KNOWN = {"Decimal": Decimal, "date": date, "timedelta": timedelta}


def made_wrong(text: str, seed: int, *, far: bool = False) -> object:
    source = Source(f"{text}\n".encode())
    (statement,) = source.tree.body
    assert isinstance(statement, ast.Expr)
    node, other = wrong(statement.value, random.Random(seed), far=far)
    return eval(source.edited([source.replaced(node, other)]), dict(KNOWN))


@given(VALUES, st.integers())
@example(-math.inf, 0)
@example(sys.float_info.max, 0)
def test_a_literal_made_wrong_is_another_value(value: object, seed: int) -> None:
    assert made_wrong(repr(value).replace("inf", "1e999"), seed) != value


@pytest.mark.parametrize(
    "text",
    [
        "Decimal('0.14')",
        "Decimal('-1250')",
        "date(2024, 5, 6)",
        "timedelta(3)",
        "set([1, 1, 2])",
        "frozenset((1, 2))",
        "[Decimal('3.34'), Decimal('3.33')]",
        "sorted([2, 1])",
        "3 + 4",
    ],
)
def test_a_value_made_by_a_call_is_another_one(text: str) -> None:
    value = eval(text, dict(KNOWN))
    assert all(made_wrong(text, seed) != value for seed in range(30))


@given(st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6), st.integers())
def test_a_number_made_wrong_leaves_tolerances(value: float, seed: int) -> None:
    found = made_wrong(repr(value), seed, far=True)
    assert isinstance(found, int | float)
    assert found != pytest.approx(value, rel=0.5, abs=1)


@given(st.integers())
def test_what_is_fresh_can_be_read(seed: int) -> None:
    assert is_literal(ast.parse(fresh(random.Random(seed)), mode="eval").body)


@given(st.integers())
def test_a_false_assertion_fails(seed: int) -> None:
    with pytest.raises(AssertionError):
        exec(false_assertion(random.Random(seed)))


def test_another_exception_is_one_that_the_test_does_not_name() -> None:
    found = {other_exception("(EOFError, ValueError)", random.Random(seed)) for seed in range(99)}
    assert "EOFError" not in found
    assert len(found) > 3
