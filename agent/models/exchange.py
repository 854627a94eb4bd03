"""Neighbours exchanged: two arguments, operands, elements, values, or two digits of a number."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from agent.models.edits import Edit
from agent.models.python_source import PythonSource
from agent.models.whole import WholeEdit

#: Exchanges that are worth rating, those at the most suspicious places.
_MOST = 64
#: Operators whose operands may stand either way.
_EITHER_WAY = (ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor, ast.Eq, ast.NotEq)


def suspicious_exchanges(
    sources: Mapping[str, PythonSource], weights: Mapping[str, Sequence[float]]
) -> list[WholeEdit]:
    """Exchanges at suspicious places. `weights` are those of each file's characters."""
    found = [
        WholeEdit(path, edit, max(weights[path][edit.start : edit.end]))
        for path, source in sources.items()
        for edit in exchanges(source)
    ]
    found = [each for each in found if each.weight > 0]
    return sorted(found, key=lambda each: -each.weight)[:_MOST]


def exchanges(source: PythonSource) -> Iterator[Edit]:
    """Every exchange of two neighbours in a file."""
    for node in ast.walk(source.tree or ast.Module([], [])):
        for one, other in _neighbours(node):
            (start, middle), (again, end) = source.span(one), source.span(other)
            between = source.text[middle:again]
            # A parenthesis there belongs to one of them, and would stay behind.
            if not set(between) & set("()"):
                text = source.text[again:end] + between + source.text[start:middle]
                yield Edit(start, end, text)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield from _digits(source, node)


def _neighbours(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Call(args=arguments, keywords=named):
            yield from pairwise(each for each in arguments if not isinstance(each, ast.Starred))
            yield from pairwise(each.value for each in named if each.arg)
        case ast.BinOp(left=left, op=operator, right=right):
            if not isinstance(operator, _EITHER_WAY):
                yield left, right
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            if not isinstance(operator, _EITHER_WAY):
                yield left, right
        case ast.Tuple(elts=values) | ast.List(elts=values) | ast.BoolOp(values=values):
            yield from pairwise(values)
        case ast.Dict(values=values):
            yield from pairwise(values)
        case ast.IfExp(body=body, orelse=other):
            yield body, other
        case _:
            pass


def _digits(source: PythonSource, number: ast.Constant) -> Iterator[Edit]:
    start, end = source.span(number)
    places = [place for place in range(start, end) if source.text[place].isdigit()]
    for one, other in pairwise(places):
        a, b = source.text[one], source.text[other]
        if a != b:
            yield Edit(one, other + 1, b + source.text[one + 1 : other] + a)
