"""From the lines that failing tests ran to the lines worth changing."""

import ast
from collections.abc import Iterator, Mapping

#: A default in a signature acts when the function runs; the line itself ran once, at import.
_SIGNATURE = 0.5
#: Constants and class attributes are set at import, where no test's trace sees them.
_OUTSIDE = 0.2


def line_weights(tree: ast.Module, ran: Mapping[int, float]) -> dict[int, float]:
    """How much a change of each line of a file is worth trying, 0 to 1; lines without a weight are
    not. `ran` holds the suspicion of the lines that failing tests ran.

    A statement of several lines counts as one. Docstrings are no statements.
    """
    highest = max(ran.values(), default=0.0)
    weights: dict[int, float] = {}
    for first, last, outside in _statements(tree, inside=False):
        weight = max((ran.get(line, 0.0) for line in range(first, last + 1)), default=0.0)
        if outside:
            weight = max(weight, _OUTSIDE * highest)
        for line in range(first, last + 1):
            weights[line] = max(weights.get(line, 0.0), weight)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
            weight = _SIGNATURE * max((ran.get(line, 0.0) for line in body), default=0.0)
            for line in range(node.lineno, max(node.lineno + 1, node.body[0].lineno)):
                weights[line] = weight
    for line in _docstring_lines(tree):
        weights.pop(line, None)
    return {line: weight for line, weight in weights.items() if weight > 0}


def _statements(node: ast.AST, inside: bool) -> Iterator[tuple[int, int, bool]]:
    """First line, last line and "is outside of functions" of each statement; of a compound
    statement only its head."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(child, inside=True)
            continue
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            body = getattr(child, "body", None)
            if not isinstance(child, ast.ClassDef | ast.match_case):
                last = body[0].lineno - 1 if body else child.end_lineno or child.lineno
                assigns = isinstance(child, ast.Assign | ast.AnnAssign)
                yield child.lineno, max(last, child.lineno), assigns and not inside
            yield from _statements(child, inside)


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        match getattr(node, "body", None):
            case [ast.Expr(value=ast.Constant(value=str())) as text, *_]:
                yield from range(text.lineno, (text.end_lineno or text.lineno) + 1)
