"""Neighbours exchanged: two arguments, operands, elements, values, or two digits of a number.

Each of the new tokens is unlikely alone, so that a search which grows edits token by token loses
such an edit on the way. There are few of them: all are made, and rated whole by the same readings.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agent.models.edits import Edit
from agent.models.experts import Experts
from agent.models.listing import Listing
from agent.models.lookahead import Branch
from agent.models.python_source import PythonSource
from agent.models.ranking import Candidate, Ranking

#: Exchanges that are rated, those at the most suspicious places.
_MOST = 64
#: Tokens after an exchange that are tokenized with it: how a text is cut depends on what follows.
_AFTER = 4
#: Operators whose operands may stand either way.
_EITHER_WAY = (ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor, ast.Eq, ast.NotEq)


@dataclass(frozen=True)
class _Exchange:
    path: str
    edit: Edit
    weight: float


class Exchange:
    """One search over the files of a listing. `weights` are those of each file's characters."""

    def __init__(
        self,
        listing: Listing,
        sources: Mapping[str, PythonSource],
        weights: Mapping[str, Sequence[float]],
        experts: Experts,
        tokenizer: Any,
        ranking: Ranking,
    ) -> None:
        self._listing = listing
        self._sources = sources
        self._weights = weights
        self._experts = experts
        self._tokenizer = tokenizer
        self._ranking = ranking

    def search(self) -> None:
        """Adds what it finds to the ranking."""
        rated = []
        for each in sorted(self._suspicious(), key=lambda each: -each.weight)[:_MOST]:
            found = self._branch(each)
            if found is not None:
                rated.append((each, *found))
        likely = self._experts.likelihoods([branch for _, branch, _ in rated])
        for (each, branch, further), values in zip(rated, likely, strict=True):
            self._add(each, branch, further, values)

    def _suspicious(self) -> Iterator[_Exchange]:
        for path, source in self._sources.items():
            weights = self._weights[path]
            for edit in exchanges(source):
                weight = max(weights[edit.start : edit.end])
                if weight > 0:
                    yield _Exchange(path, edit, weight)

    def _branch(self, each: _Exchange) -> tuple[Branch, int] | None:
        """The new tokens up to the first one that stands there now, and the number of that; None
        where the listing does not show the place."""
        listing, edit = self._listing, each.edit
        start, end = (listing.offset(each.path, place) for place in (edit.start, edit.end))
        if start is None or end is None:
            return None
        first = listing.holding(start)
        last = min(listing.holding(end) + _AFTER, len(listing.tokens) - 1)
        text = listing.text[listing.offsets[first] : start] + edit.text
        text += listing.text[end : listing.offsets[last]]
        new = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        old = listing.tokens[first:last]
        before = _alike(new, old)
        after = _alike(new[before:][::-1], old[before:][::-1])
        if not after or before + after >= len(new):
            return None
        tokens = tuple(new[before : len(new) - after + 1])
        return Branch(first + before, tokens), last - after

    def _add(
        self, each: _Exchange, branch: Branch, further: int, values: Sequence[Sequence[float]]
    ) -> None:
        likely = tuple(sum(reading[:-1]) for reading in values)
        own = self._experts.own(further)
        bridge = tuple(reading[-1] - before for reading, before in zip(values, own, strict=True))
        self._ranking.add(Candidate(each.path, each.edit, "replace", likely, bridge, each.weight))


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


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
