"""Values put through a call: `list(x)` in place of `x`.

Of all that could be called the readings say what might stand there; only that is rated whole.
"""

import ast
import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from agent.models.edits import Edit
from agent.models.experts import Experts
from agent.models.listing import Listing
from agent.models.names import FUNCTIONS
from agent.models.python_source import PythonSource
from agent.models.whole import WholeEdit

#: Wrappings that are worth rating, the likeliest by their first token.
_MOST = 128
#: What takes one value and gives another.
_BUILTINS = (
    *("abs", "bool", "bytes", "dict", "enumerate", "float", "frozenset", "int", "iter", "len"),
    *("list", "max", "min", "next", "repr", "reversed", "round", "set", "sorted", "str", "sum"),
    "tuple",
)


def likely_wrappings(
    sources: Mapping[str, PythonSource],
    weights: Mapping[str, Sequence[float]],
    listing: Listing,
    experts: Experts,
    tokenizer: Any,
) -> list[WholeEdit]:
    """Calls around values at suspicious places. `weights` are those of each file's characters."""
    places = []
    for path, source in sources.items():
        for start, end in _values(source):
            weight = weights[path][start]
            head = _head(listing, path, start) if weight > 0 else None
            if head is not None:
                places.append((path, start, end, weight, head))
    if not places:
        return []
    rows = experts.blend(experts.at([position for *_, (position, _) in places]))
    first = cache(lambda text: tokenizer(text, add_special_tokens=False)["input_ids"][0])
    rated = []
    for row, (path, start, end, weight, (_, blank)) in zip(rows, places, strict=True):
        bonus = experts.taste.suspicion * math.log(weight)
        value = sources[path].text[start:end]
        for name in _callables(sources[path]):
            if not value.startswith(f"{name}("):
                edit = Edit(start, end, f"{name}({value})")
                rated.append(
                    (row[first(blank + name)].item() + bonus, WholeEdit(path, edit, weight))
                )
    return [each for _, each in heapq.nlargest(_MOST, rated, key=lambda pair: pair[0])]


def _head(listing: Listing, path: str, start: int) -> tuple[int, str] | None:
    """The number of the token that a value begins with, and the blank in front that is a part of
    it; None where the value is not shown or begins inside of a token."""
    offset = listing.offset(path, start)
    if offset is None:
        return None
    position = listing.holding(offset)
    before = listing.text[listing.offsets[position] : offset]
    return (position, before) if before in ("", " ") else None


def _callables(source: PythonSource) -> Iterator[str]:
    yield from _BUILTINS
    for node in source.tree.body if source.tree else ():
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.name


def _values(source: PythonSource) -> Iterator[tuple[int, int]]:
    """Where values begin and end that are handed on: arguments, what is returned, assigned, gone
    through. A constant is what it is."""
    seen = set()
    for node in ast.walk(source.tree or ast.Module([], [])):
        for value in _handed_on(node):
            if not isinstance(value, ast.Constant | ast.Starred) and source.span(value) not in seen:
                seen.add(source.span(value))
                yield source.span(value)


def _handed_on(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Call(args=values) | ast.Dict(values=values):
            yield from values
        case (
            ast.keyword(value=value)
            | ast.Return(value=ast.expr() as value)
            | ast.Assign(value=value)
            | ast.AugAssign(value=value)
            | ast.AnnAssign(value=ast.expr() as value)
            | ast.For(iter=value)
            | ast.comprehension(iter=value)
        ):
            yield value
        case _:
            pass
