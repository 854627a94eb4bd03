"""Conditions of a WHERE clause."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlbuild.names import checked

OPERATORS = ("=", "<>", "<", "<=", ">", ">=", "LIKE")


@dataclass(frozen=True)
class Condition:
    text: str
    values: tuple[Any, ...]


def compare(column: str, operator: str, value: Any) -> Condition:
    """For instance compare('age', '>=', 18); None becomes IS NULL or IS NOT NULL."""
    if operator not in OPERATORS:
        raise ValueError(f"unknown operator {operator!r}")
    if value is None:
        if operator not in ("=", "<>"):
            raise ValueError(f"{operator} does not work with None")
        return Condition(f"{checked(column)} IS {'NOT ' if operator == '<>' else ''}NULL", ())
    return Condition(f"{checked(column)} {operator} ?", (value,))


def one_of(column: str, values: Sequence[Any]) -> Condition:
    """True when the column has one of the values; never, when there are none."""
    if not values:
        return Condition("1 = 0", ())
    marks = ", ".join("?" for _ in values)
    return Condition(f"{checked(column)} IN ({marks})", tuple(values))
