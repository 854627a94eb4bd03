"""The ids that pytest gives the tests of a file, told from its text: nothing is run."""

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from tasks.formats.parsed import test_id

#: Values of a decorator's argument that is no literal, by its source; None where unknown.
Values = Callable[[str], Sequence[Any] | None]
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class UntoldError(ValueError):
    """Ids that cannot be told from the text; the message says which test has them."""


@dataclass(frozen=True)
class _Parameters:
    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def told_ids(path: str, source: str, values: Values = lambda _: None) -> tuple[str, ...]:
    """The ids of the tests in the file at `path`, but for those that skip themselves or are
    expected to fail. Raises UntoldError for tests whose ids only a run can tell, and for no Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UntoldError(f"{path} is no Python that can be read") from error
    # A method that is defined twice is there once.
    return tuple(dict.fromkeys(test_id(f"{path}::{name}") for name in _names(tree.body, values)))


def _names(body: Sequence[ast.stmt], values: Values) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and _is_test_class(node) and not _is_marked(node):
            yield from (f"{node.name}::{name}" for name in _names(node.body, values))
        elif isinstance(node, _Function) and node.name.startswith("test") and not _is_marked(node):
            skipped = _skipped_values(node)
            if skipped is not None:
                yield from (node.name + suffix for suffix in _suffixes(node, values, skipped))


def _is_test_class(node: ast.ClassDef) -> bool:
    """pytest takes classes by name, and TestCases whatever they are called."""
    bases = (ast.unparse(base).rpartition(".")[2] for base in node.bases)
    return node.name.startswith("Test") or any(base.endswith("TestCase") for base in bases)


def _is_marked(node: ast.ClassDef | _Function) -> bool:
    """Whether a decorator may keep a test from passing: a skip, or a failure that is expected."""
    return any(
        re.search(r"\b(skip\w*|xfail|expectedFailure)\b", ast.unparse(decorator))
        for decorator in node.decorator_list
    )


def _suffixes(node: _Function, values: Values, skipped: Sequence[Any]) -> Iterator[str]:
    """What follows a test's name, for each of its cases that it does not skip."""
    marks = [mark for mark in node.decorator_list if "parametrize" in ast.unparse(mark)]
    if not marks:
        yield ""
        return
    # The decorator nearest to the function comes first in the id.
    sets = [_parameters(node, mark, values) for mark in reversed(marks)]
    named = [_row_ids(one) for one in sets]
    for chosen in product(*(range(len(one.rows)) for one in sets)):
        rows = [one.rows[index] for one, index in zip(sets, chosen, strict=True)]
        if not any(value in skipped for row in rows for value in row):
            parts = (ids[index] for ids, index in zip(named, chosen, strict=True))
            yield f"[{'-'.join(parts)}]"


def _parameters(node: _Function, mark: ast.expr, values: Values) -> _Parameters:
    told = UntoldError(f"the cases of {node.name} are not told by its text")
    # With ids=, indirect= and the like a run alone tells.
    if not isinstance(mark, ast.Call) or len(mark.args) != 2 or mark.keywords:
        raise told
    names = _literal(mark.args[0])
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",") if name.strip()]
    rows = _literal(mark.args[1])
    if rows is None:
        rows = values(ast.unparse(mark.args[1]))
    if not names or not isinstance(rows, list | tuple):
        raise told
    table = [tuple(row) if len(names) > 1 else (row,) for row in rows]
    if any(len(row) != len(names) for row in table):
        raise told
    return _Parameters(tuple(names), tuple(table))


def _row_ids(parameters: _Parameters) -> list[str]:
    """The id of each row, as pytest makes it; where two are alike, each gets a number."""
    ids = [
        "-".join(_value_id(v, name, index) for name, v in zip(parameters.names, row, strict=True))
        for index, row in enumerate(parameters.rows)
    ]
    if len(set(ids)) == len(ids):
        return ids
    counts: dict[str, int] = {}
    numbered = []
    for one in ids:
        number = counts.get(one, 0)
        counts[one] = number + 1
        numbered.append(f"{one}{number}" if ids.count(one) > 1 else one)
    return numbered


def _value_id(value: Any, name: str, index: int) -> str:
    if isinstance(value, str):
        return value.encode("unicode_escape").decode("ascii")
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")
    if value is None or isinstance(value, int | float | complex):
        return str(value)
    return f"{name}{index}"


def _skipped_values(node: _Function) -> list[Any] | None:
    """The arguments for which a test skips itself; None where it may do so for others too."""
    found: list[Any] = []
    branches = [branch for branch in ast.walk(node) if isinstance(branch, ast.If)]
    for branch in branches:
        if "pytest.skip" in "".join(map(ast.unparse, branch.body)):
            compared = [c for c in ast.walk(branch.test) if isinstance(c, ast.Compare)]
            literals = [_literal(right) for one in compared for right in one.comparators]
            if not literals or None in literals:
                return None
            found += literals
    skips = ast.unparse(node).count("pytest.skip")
    return found if skips == 0 or found else None


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
