"""Compute the value of a formula."""

import operator
from collections.abc import Mapping

from formula.errors import FormulaError
from formula.nodes import Name, Node, Number
from formula.parser import parse

OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def _value(node: Node, names: Mapping[str, float]) -> float:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        if node.name not in names:
            raise FormulaError(f"unknown name {node.name!r}")
        return names[node.name]
    left, right = _value(node.left, names), _value(node.right, names)
    try:
        return OPERATIONS[node.symbol](left, right)
    except ZeroDivisionError:
        raise FormulaError("division by zero") from None


def evaluate(formula: str, names: Mapping[str, float] | None = None) -> float:
    """The formula's value; FormulaError when it has none."""
    return _value(parse(formula), names or {})
