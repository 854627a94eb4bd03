"""Where a test says what it expects: assertions, and blocks in which something has to be raised."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.twins.wrong import called

#: Assertions of unittest and NumPy by what their first two arguments have to be: equal.
EQUAL = frozenset(
    (
        *("assertEqual", "assertEquals", "assertListEqual", "assertTupleEqual", "assertSetEqual"),
        *("assertDictEqual", "assertSequenceEqual", "assertMultiLineEqual", "assertCountEqual"),
        *("assert_equal", "assert_array_equal", "assert_frame_equal", "assert_series_equal"),
    )
)
#: ... equal within a tolerance.
CLOSE = frozenset(
    (
        *("assertAlmostEqual", "assertAlmostEquals"),
        *("assert_allclose", "assert_almost_equal", "assert_array_almost_equal"),
    )
)
#: What tests call what they expect.
EXPECTED = re.compile(r"expect|want|should|correct|answer|solution|truth|output$", re.IGNORECASE)
RAISING = frozenset({"raises", "assertRaises", "assertRaisesRegex"})
_PAIRS = (
    ("assertEqual", "assertNotEqual"),
    ("assertAlmostEqual", "assertNotAlmostEqual"),
    ("assertTrue", "assertFalse"),
    ("assertIs", "assertIsNot"),
    ("assertIsNone", "assertIsNotNone"),
    ("assertIn", "assertNotIn"),
    ("assertIsInstance", "assertNotIsInstance"),
    ("assertRegex", "assertNotRegex"),
    ("assertGreater", "assertLessEqual"),
    ("assertLess", "assertGreaterEqual"),
    ("assert_called", "assert_not_called"),
)
#: What says the opposite of an assertion of unittest.
OPPOSITE = dict(_PAIRS) | {other: one for one, other in _PAIRS}
# Contexts that let what is raised in them through.
_HARMLESS = frozenset(
    (
        *("subTest", "open", "patch", "object", "dict", "catch_warnings", "context"),
        *("TemporaryDirectory", "NamedTemporaryFile", "StringIO", "closing", "nullcontext"),
    )
)

TestFunction = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Site:
    """A statement that can fail a test. A `certain` one is reached by every test that ends."""

    statement: ast.stmt
    certain: bool

    @property
    def last_line(self) -> int:
        return self.statement.end_lineno or self.statement.lineno


def test_functions(tree: ast.Module) -> dict[str, TestFunction]:
    """The functions of a module that may be tests, by their names with those of their classes."""
    return dict(_functions(tree.body, ""))


def _functions(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, TestFunction]]:
    for statement in body:
        if isinstance(statement, TestFunction) and statement.name.startswith("test"):
            yield prefix + statement.name, statement
        elif isinstance(statement, ast.ClassDef):
            yield from _functions(statement.body, f"{prefix}{statement.name}::")


def sites(function: TestFunction) -> tuple[Site, ...]:
    """The sites of a test, in the order of the source."""
    return tuple(_sites(function.body, certain=True))


def _sites(body: Sequence[ast.stmt], certain: bool) -> Iterator[Site]:
    for statement in body:
        if _is_assertion(statement) or raising(statement) is not None:
            yield Site(statement, certain)
        if isinstance(statement, ast.With | ast.AsyncWith):
            calls = (called(item.context_expr) for item in statement.items)
            yield from _sites(statement.body, certain and all(name in _HARMLESS for name in calls))
        elif not isinstance(statement, TestFunction | ast.ClassDef):
            for name in ("body", "orelse", "finalbody"):
                yield from _sites(getattr(statement, name, ()), certain=False)
        certain = certain and not _may_leave(statement)


def _is_assertion(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert):
        return not isinstance(statement.test, ast.Constant)
    if isinstance(statement, ast.Expr):
        name = called(statement.value)
        return name in EQUAL or name in CLOSE or name in OPPOSITE
    return False


def raising(statement: ast.stmt) -> ast.Call | None:
    """The call that says what has to be raised in a statement; None where nothing has to be."""
    if isinstance(statement, ast.With | ast.AsyncWith):
        expressions = [item.context_expr for item in statement.items]
    else:
        expressions = [statement.value] if isinstance(statement, ast.Expr) else []
    for expression in expressions:
        if isinstance(expression, ast.Call) and called(expression) in RAISING and expression.args:
            return expression
    return None


def _may_leave(statement: ast.stmt) -> bool:
    """Whether a test may end in a statement without having failed."""
    return any(
        isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) for node in ast.walk(statement)
    )
