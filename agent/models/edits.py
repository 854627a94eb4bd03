"""Edits of Python source, and what they mean: a cheap check before a test is spent on one.

An edit whose result does not parse, or uses a name that nothing binds, cannot be right. Two edits
that leave the same program are one.
"""

import ast
import builtins
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

_BUILTINS = frozenset({*dir(builtins), "__file__", "__name__", "__class__", "__doc__"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Edit:
    """Put `text` in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str

    def apply(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.end :]


def edit_arguments(path: str, source: str, edit: Edit) -> str:
    """The arguments of an `edit_file` call for `edit`, as JSON text.

    The old text is whole lines, as few as stand once in the file.
    """
    first = source.rfind("\n", 0, edit.start) + 1
    last = _line_end(source, edit.end)
    while source.count(old := source[first:last]) > 1 or not old.strip():
        grown = source.rfind("\n", 0, max(0, first - 1)) + 1 if first else 0
        if (grown, _line_end(source, last + 1)) == (first, last):
            break
        # Towards the end first: what follows a line tells more often which one it is.
        longer = _line_end(source, last + 1)
        first, last = (first, longer) if longer != last else (grown, last)
    new = replace(edit, start=edit.start - first, end=edit.end - first).apply(old)
    return json.dumps({"path": path, "old_text": old, "new_text": new}, ensure_ascii=False)


def _line_end(source: str, position: int) -> int:
    found = source.find("\n", min(position, len(source)))
    return len(source) if found < 0 else found


class PythonSource:
    """One file as it stands. `lines` is never asked to be a program that runs, only one that
    parses: a file that does not has no functions, and every edit is judged by the whole."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(i + 1 for i, char in enumerate(text) if char == "\n")]
        try:
            self.tree: ast.Module | None = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            self.tree = None
        self._names = _module_names(self.tree) if self.tree else None
        self._functions = sorted(_outer_functions(self.tree)) if self.tree else []

    def line(self, position: int) -> int:
        """The number, counted from 1, of the line that holds the character at `position`."""
        return self.text.count("\n", 0, position) + 1

    def meaning(self, edit: Edit) -> str | None:
        """What the file means after `edit`: equal for edits that leave the same program.

        None when it does not parse or uses a name that is bound nowhere. Annotations and
        docstrings mean nothing.
        """
        first, last = self._scope(edit)
        text = replace(edit, start=edit.start - first, end=edit.end - first).apply(
            self.text[first:last]
        )
        indented = text[:1] in (" ", "\t")
        try:
            tree = ast.parse(f"if 1:\n{text}" if indented else text)
        except (SyntaxError, ValueError, RecursionError):
            return None
        names = self._names if (first, last) != (0, len(self.text)) else _module_names(tree)
        if names is not None and next(_unbound(tree, names | _BUILTINS), None):
            return None
        return f"{first}:{ast.dump(_bare(tree))}"

    def _scope(self, edit: Edit) -> tuple[int, int]:
        """Where the outermost function around `edit` begins and ends; else the whole file."""
        for first, last in self._functions:
            start = self._starts[first - 1]
            end = self._starts[last] if last < len(self._starts) else len(self.text)
            if start <= edit.start and edit.end < end:
                return start, end
        return 0, len(self.text)


def _outer_functions(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """First and last line of each function that lies in no other one, decorators included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _FUNCTIONS):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield first, node.end_lineno or node.lineno
        else:
            yield from _outer_functions(node)


def _module_names(tree: ast.Module) -> frozenset[str] | None:
    """Names bound at the top of a module; None where a star import hides them."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
        else:
            names |= _bound(node)
    for part in ast.walk(tree):
        if isinstance(part, ast.Global):
            names.update(part.names)
    return None if "*" in names else frozenset(names)


def _bound(tree: ast.AST) -> set[str]:
    """Names that something in `tree` binds, comprehensions left out."""
    names: set[str] = set()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                names.add(name)
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add((other or name).split(".")[0])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                names.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                names.add(name)
            case _:
                pass
        if isinstance(node, _COMPREHENSIONS):
            # Its own variables end with it; a walrus inside binds outside.
            todo += [each for each in ast.walk(node) if isinstance(each, ast.NamedExpr)]
        else:
            todo += ast.iter_child_nodes(node)
    return names


def _unbound(node: ast.AST, known: frozenset[str]) -> Iterator[str]:
    """Names that `node` reads and that neither `known` nor a scope around them binds."""
    if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
        known = known | _bound(node)
    elif isinstance(node, _COMPREHENSIONS):
        for generator in node.generators:
            known = known | _bound(generator.target)
    elif isinstance(node, ast.ClassDef):
        known = known | {name for part in node.body for name in _bound(part)}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in known:
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _unbound(child, known)


def _bare(tree: ast.AST) -> ast.AST:
    """`tree` without docstrings and annotations."""
    for node in ast.walk(tree):
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.Module)) and _has_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, _FUNCTIONS):
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
