"""The tables of values that a test is given case by case."""

import ast

from tasks.twins.sites import TestFunction
from tasks.twins.wrong import called


def cells(function: TestFunction, name: str) -> list[ast.expr]:
    """What a parameter is in each row of the test's tables; nothing where a row does not say."""
    found: list[ast.expr] = []
    for decorator in function.decorator_list:
        if called(decorator) == "parametrize" and isinstance(decorator, ast.Call):
            names = _names(decorator.args[0]) if len(decorator.args) >= 2 else []
            if name in names:
                found += _column(decorator.args[1], names.index(name), len(names))
    return found


def _names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [part.strip() for part in node.value.split(",") if part.strip()]
    if isinstance(node, ast.List | ast.Tuple):
        return [str(one.value) for one in node.elts if isinstance(one, ast.Constant)]
    return []


def _column(table: ast.expr, index: int, width: int) -> list[ast.expr]:
    rows = table.elts if isinstance(table, ast.List | ast.Tuple) else []
    column = []
    for row in rows:
        if called(row) == "param" and isinstance(row, ast.Call):
            values = row.args
        elif width == 1:
            values = [row]
        else:
            values = row.elts if isinstance(row, ast.List | ast.Tuple) else []
        if len(values) != width or any(isinstance(value, ast.Starred) for value in values):
            return []
        column.append(values[index])
    return column
