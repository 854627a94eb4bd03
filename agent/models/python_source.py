"""A Python file and what edits of it mean: a cheap check before a test is spent on one.

An edit whose result does not parse, or reads what nothing gives a value, cannot be right. Two edits
that leave the same program are one.
"""

import ast
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace

from agent.models.edits import Edit
from agent.models.names import FUNCTIONS, Known


class PythonSource:
    """One file as it stands. One that does not parse has no `tree`, and every edit of it is judged
    by the whole."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(i + 1 for i, char in enumerate(text) if char == "\n")]
        try:
            self.tree: ast.Module | None = _parsed(text)
        except (SyntaxError, ValueError, RecursionError):
            self.tree = None
        self._known = Known.of(self.tree) if self.tree else Known(None)
        self._functions = sorted(_outer_functions(self.tree)) if self.tree else []

    def line(self, position: int) -> int:
        """The number, counted from 1, of the line that holds the character at `position`."""
        return bisect_right(self._starts, position)

    @property
    def lines(self) -> int:
        """How many lines there are, an empty one after the last line break included."""
        return len(self._starts)

    @property
    def function_starts(self) -> list[int]:
        """Where the functions begin that lie in no other function, and the file itself."""
        return [0, *(self.line_span(first)[0] for first, _, _ in self._functions)]

    def line_span(self, line: int) -> tuple[int, int]:
        """Where a line begins and where it ends, its line break left out."""
        end = self._starts[line] - 1 if line < len(self._starts) else len(self.text)
        return self._starts[line - 1], end

    def offset(self, node: ast.expr | ast.stmt | ast.ExceptHandler) -> int:
        """Where a node of the tree begins."""
        return self._character(node.lineno, node.col_offset)

    def span(self, node: ast.expr | ast.stmt | ast.ExceptHandler) -> tuple[int, int]:
        """Where a node of the tree begins and ends."""
        end = self._character(node.end_lineno or node.lineno, node.end_col_offset or 0)
        return self.offset(node), end

    def _character(self, line: int, column: int) -> int:
        """The parser counts columns in bytes of UTF-8."""
        start, end = self.line_span(line)
        before = self.text[start:end].encode("utf-8", "surrogatepass")[:column]
        return start + len(before.decode("utf-8", "ignore"))

    def meaning(self, edit: Edit) -> str | None:
        """What the file means after `edit`: equal for edits that leave the same program.

        None when it does not parse, or reads a name or an attribute that nothing gives a value.
        Annotations and docstrings mean nothing.
        """
        first, last, owner = self._scope(edit)
        text = replace(edit, start=edit.start - first, end=edit.end - first).apply(
            self.text[first:last]
        )
        indent = _indent(text)
        if indent != _indent(self.text[first:last]):
            return None
        try:
            tree = _parsed(f"if 1:\n{text}" if indent else text)
        except (SyntaxError, ValueError, RecursionError):
            return None
        whole = (first, last) == (0, len(self.text))
        if (Known.of(tree) if whole else self._known).missing(tree, owner):
            return None
        return f"{first}:{ast.dump(_bare(tree))}"

    def _scope(self, edit: Edit) -> tuple[int, int, str]:
        """Where the outermost function around `edit` begins and ends, and its class; else the
        whole file."""
        for first, last, owner in self._functions:
            start, end = self.line_span(first)[0], self.line_span(last)[1]
            if start <= edit.start and edit.end <= end:
                return start, end, owner
        return 0, len(self.text), ""


def _parsed(text: str) -> ast.Module:
    """Parsed without a word of Python's about it: the code is not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return ast.parse(text)


def _indent(text: str) -> str:
    """The blanks that the first line begins with."""
    return text[: len(text) - len(text.lstrip(" \t"))]


def _outer_functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[int, int, str]]:
    """First and last line, decorators included, of each function that lies in no other one, and
    the class whose method it is."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            static = any(getattr(each, "id", "") == "staticmethod" for each in node.decorator_list)
            yield first, node.end_lineno or node.lineno, "" if static else owner
        else:
            inside = node.name if isinstance(node, ast.ClassDef) else owner
            yield from _outer_functions(node, inside)


def _bare(tree: ast.AST) -> ast.AST:
    """`tree` without docstrings and annotations."""
    for node in ast.walk(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Module)) and _has_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, FUNCTIONS):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            node.annotation = ast.Constant(None)
    return tree


def _has_docstring(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module,
) -> bool:
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str())), *_]:
            return True
    return False
