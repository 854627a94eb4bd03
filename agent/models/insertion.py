"""New lines, as the model would write them: a statement, or an `if` and what stands under it.

Lines grow in the gaps between suspicious lines, all gaps at once; in each gap the likeliest few go
on. A line that ends with a colon gets one more, indented.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent.models.edits import Edit
from agent.models.experts import NEVER, Experts
from agent.models.listing import Listing
from agent.models.python_source import PythonSource
from agent.models.ranking import Candidate, Ranking
from agent.models.vocabulary import Vocabulary

_WIDTH = 72
_PER_GAP = 5
#: Tokens of a new line, or of two.
_STEPS = 24
#: What a beginning is grown into: some variety at first, then the likeliest.
_CHILDREN = (4, 4, 3, 3, 2, 2)
_INDENT = 4


@dataclass(frozen=True)
class Gap:
    """The place after a line: the token of its line break, the path, the character of the file,
    how far a new line is indented, and how suspicious its neighbours are."""

    position: int
    path: str
    character: int
    indent: int
    weight: float


@dataclass(frozen=True)
class _Line:
    """What has grown in gap number `gap`; `line` is the line that is being written."""

    gap: int
    text: str
    line: str
    lines: int
    likely: tuple[float, ...]
    promise: float


class Insertion:
    """One search over the gaps of a listing."""

    def __init__(
        self,
        listing: Listing,
        gaps: Sequence[Gap],
        experts: Experts,
        vocabulary: Vocabulary,
        ranking: Ranking,
    ) -> None:
        self._listing = listing
        self._experts = experts
        self._vocabulary = vocabulary
        self._ranking = ranking
        self._gaps = [gap for gap in gaps if vocabulary.line_break(gap.indent) is not None]

    def search(self) -> None:
        """Adds what it finds to the ranking."""
        if not self._gaps:
            return
        sprouts = self._experts.grow([gap.position for gap in self._gaps])
        lines = list(self._beginnings())
        parents = list(range(len(lines)))
        tokens = [self._vocabulary.line_break(gap.indent) or 0 for gap in self._gaps]
        for step in range(_STEPS):
            rows = sprouts.feed(parents, tokens)
            for index, line in enumerate(lines):
                self._finish(line, [row[index] for row in rows])
            grown = _best(self._grown(lines, rows, step))
            if not grown:
                break
            lines = [line for line, _, _ in grown]
            tokens = [token for _, token, _ in grown]
            parents = [parent for _, _, parent in grown]
        sprouts.close()

    def _beginnings(self) -> Iterator[_Line]:
        rows = self._experts.at([gap.position for gap in self._gaps])
        for number, gap in enumerate(self._gaps):
            token = self._vocabulary.line_break(gap.indent) or 0
            likely = tuple(row[number, token].item() for row in rows)
            bonus = self._experts.taste.suspicion * math.log(gap.weight)
            promise = self._experts.blend(likely) + bonus
            yield _Line(number, self._vocabulary.text(token), "", 0, likely, promise)

    def _finish(self, line: _Line, rows: Sequence[Any]) -> None:
        """Adds what has grown, if it may end here: the line break of the gap follows."""
        if not line.line.strip() or line.line.rstrip().endswith(":"):
            return
        gap = self._gaps[line.gap]
        own = self._experts.own(gap.position)
        following = (row[self._listing.tokens[gap.position]].item() for row in rows)
        bridge = tuple(new - old for new, old in zip(following, own, strict=True))
        edit = Edit(gap.character, gap.character, line.text)
        self._ranking.add(Candidate(gap.path, edit, "line", line.likely, bridge, gap.weight))

    def _grown(
        self, lines: Sequence[_Line], rows: Sequence[Any], step: int
    ) -> Iterator[tuple[_Line, int, int]]:
        """Longer lines: the line, its last token, the number of the shorter one."""
        blended = self._experts.blend(rows).masked_fill(~self._vocabulary.speakable, NEVER)
        count = _CHILDREN[min(step, len(_CHILDREN) - 1)]
        # One more, since a line break may have to be left out.
        tokens = blended.topk(count + 1)[1].tolist()
        for index, line in enumerate(lines):
            fitting = dict.fromkeys(map(self._fitted(line), tokens[index]))
            for token in [token for token in fitting if token is not None][:count]:
                added = tuple(row[index, token].item() for row in rows)
                likely = tuple(a + b for a, b in zip(line.likely, added, strict=True))
                yield self._longer(line, token, likely, self._experts.blend(added)), token, index

    def _fitted(self, line: _Line) -> Callable[[int], int | None]:
        """What to take for a token that may follow: itself, for a line break the one that goes on
        below, nothing where that cannot be."""

        def fit(token: int) -> int | None:
            text = self._vocabulary.text(token)
            if "\n" in text:
                return self._deeper(line)
            return token if text and (line.line or _is_word(text)) else None

        return fit

    def _longer(self, line: _Line, token: int, likely: tuple[float, ...], value: float) -> _Line:
        text = self._vocabulary.text(token)
        new_line = "\n" in text
        return _Line(
            gap=line.gap,
            text=line.text + text,
            line="" if new_line else line.line + text,
            lines=line.lines + new_line,
            likely=likely,
            promise=line.promise + value,
        )

    def _deeper(self, line: _Line) -> int | None:
        """The line break that goes on under a line that ends with a colon, once."""
        if line.lines or not line.line.rstrip().endswith(":"):
            return None
        return self._vocabulary.line_break(self._gaps[line.gap].indent + _INDENT)


def _is_word(text: str) -> bool:
    """Whether a token can begin a line: it brings the last blank of its indentation."""
    return text[:1] == " " and text[1:2].strip() != ""


def _best(found: Iterator[tuple[_Line, int, int]]) -> list[tuple[_Line, int, int]]:
    taken: dict[int, int] = {}
    best = []
    for item in sorted(found, key=lambda item: -item[0].promise):
        if taken.get(item[0].gap, 0) < _PER_GAP:
            taken[item[0].gap] = taken.get(item[0].gap, 0) + 1
            best.append(item)
            if len(best) == _WIDTH:
                break
    return best


def gaps_of(
    path: str,
    source: PythonSource,
    weights: Sequence[float],
    listing: Listing,
) -> Iterator[Gap]:
    """The gaps of a file that have a suspicious neighbour, with each indentation that a line there
    may have. `weights` are those of the file's characters."""
    filled = [line for line in range(1, source.lines + 1) if _span_text(source, line).strip()]
    for line, following in zip(filled, [*filled[1:], 0], strict=True):
        start, end = source.line_span(line)
        position = listing.position(path, end)
        if position is None:
            continue
        here = max(weights[start : end + 1])
        next_indent, next_weight = 0, 0.0
        if following:
            first, last = source.line_span(following)
            next_indent, next_weight = _indent(source, following), max(weights[first : last + 1])
        # What follows without any weight begins something else: a function, a class.
        for indent in _indents(source, line, next_indent if next_weight else 0):
            weight = max(here, next_weight if indent == next_indent else 0.0)
            if weight > 0:
                yield Gap(position, path, end, indent, weight)


def _indents(source: PythonSource, line: int, following: int) -> set[int]:
    own = _indent(source, line)
    if _span_text(source, line).rstrip().endswith(":"):
        return {following if following > own else own + _INDENT}
    return {own, following} if 0 < following < own else {own}


def _span_text(source: PythonSource, line: int) -> str:
    start, end = source.line_span(line)
    return source.text[start:end]


def _indent(source: PythonSource, line: int) -> int:
    text = _span_text(source, line)
    return len(text) - len(text.lstrip())
