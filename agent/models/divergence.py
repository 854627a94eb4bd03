"""Edits within a line, as the model would make them.

At each suspicious token the readings say what else might stand there. A branch begins with such a
token and goes on with what the readings say next; after each of its tokens the text's own line may
go on, at the same place (something was inserted) or further right (something was replaced). So one
search finds replaced, inserted and deleted tokens and lines that are written anew from some point
on; how far a branch is followed depends on its likelihood alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent.models.edits import Edit
from agent.models.experts import NEVER, Experts
from agent.models.listing import Listing
from agent.models.ranking import Candidate, Kind, Ranking
from agent.models.vocabulary import Vocabulary

#: How many branches are followed at each length: many for a token, few for a whole line.
_WIDTHS = (448, 192, 128, 96, 64, 64, 48, 48, 32, 32)
#: Alternatives that are looked at for a token, and how many of one place are followed.
_ALTERNATIVES = 48
_PER_PLACE = 24
_PER_PLACE_LATER = 6
#: The next tokens of a branch that are looked at.
_CHILDREN = 3
#: How many tokens of the old line a branch may leave out, and of how many only the best are kept.
_REACH = 14
_DELETED = 8
_REJOINED = 4
#: What it costs a branch to go on with what the old line has there: most often the candidate that
#: rejoins the old line at this place is the same program.
_COPYING = 1.5
#: Positions whose whole rows of the vocabulary are held at once.
_ROWS = 64


@dataclass(frozen=True)
class _Branch:
    position: int
    text: str
    likely: tuple[float, ...]
    promise: float


class Divergence:
    """One search over a listing. `weights` says how suspicious each of its tokens is."""

    def __init__(
        self,
        listing: Listing,
        weights: Sequence[float],
        experts: Experts,
        vocabulary: Vocabulary,
        ranking: Ranking,
    ) -> None:
        self._listing = listing
        self._weights = weights
        self._experts = experts
        self._vocabulary = vocabulary
        self._ranking = ranking
        self._places = [n for n, weight in enumerate(weights) if weight > 0]
        self._line_ends = self._find_line_ends()

    def _find_line_ends(self) -> list[int]:
        """For each token the number of the next one that holds a line break."""
        tokens = self._listing.tokens
        ends = [len(tokens)] * (len(tokens) + 1)
        for number in range(len(tokens) - 1, -1, -1):
            breaks = self._vocabulary.breaks_line(tokens[number])
            ends[number] = number if breaks else ends[number + 1]
        return ends

    def search(self) -> None:
        """Adds what it finds to the ranking."""
        branches = self._roots()
        if not branches:
            return
        positions = sorted({branch.position for branch, _ in branches})
        number = {position: index for index, position in enumerate(positions)}
        parents = [number[branch.position] for branch, _ in branches]
        sprouts = self._experts.grow(positions)
        for width in [*_WIDTHS[1:], 0]:
            rows = sprouts.feed(parents, [token for _, token in branches])
            living = [branch for branch, _ in branches]
            rejoined = self._rejoin(living, rows)
            chosen = self._children(living, rows, rejoined, width)
            if not chosen:
                break
            parents = [parent for parent, _, _ in chosen]
            branches = [(branch, token) for _, branch, token in chosen]
        sprouts.close()

    # The first token.

    def _roots(self) -> list[tuple[_Branch, int]]:
        found: list[tuple[_Branch, int]] = []
        for start in range(0, len(self._places), _ROWS):
            part = self._places[start : start + _ROWS]
            rows = self._experts.at(part)
            self._deletions(part, rows)
            found += self._openings(part, rows)
        return _best(found, _WIDTHS[0], _PER_PLACE)

    def _openings(self, part: Sequence[int], rows: Sequence[Any]) -> Iterator[tuple[_Branch, int]]:
        """The likeliest tokens in place of the text's own."""
        import torch  # noqa: PLC0415

        blended = self._experts.blend(rows).masked_fill(~self._vocabulary.within_line, NEVER)
        own = torch.tensor([[self._listing.tokens[position]] for position in part])
        blended.scatter_(1, own, NEVER)
        values, tokens = blended.topk(min(_ALTERNATIVES, blended.shape[1]))
        likely = [row.gather(1, tokens).tolist() for row in rows]
        for index, position in enumerate(part):
            bonus = self._bonus(position)
            for place, token in enumerate(tokens[index].tolist()):
                value = values[index, place].item()
                if value > NEVER:
                    by_reading = tuple(reading[index][place] for reading in likely)
                    text = self._vocabulary.text(token)
                    yield _Branch(position, text, by_reading, value + bonus), token

    def _bonus(self, position: int) -> float:
        return self._experts.taste.suspicion * math.log(self._weights[position])

    def _deletions(self, part: Sequence[int], rows: Sequence[Any]) -> None:
        tokens = self._listing.tokens
        for index, position in enumerate(part):
            last = min(position + _DELETED, self._line_ends[position], len(tokens) - 1)
            for further in range(position + 1, last + 1):
                # Equal tokens at both ends: the same deletion one token further says more.
                if tokens[further] != tokens[position]:
                    likely = tuple(reading[index, tokens[further]].item() for reading in rows)
                    self._add(_Branch(position, "", likely, 0.0), further, (0.0,) * len(rows))

    # The tokens after it.

    def _rejoin(self, branches: Sequence[_Branch], rows: Sequence[Any]) -> list[set[int]]:
        """Lets the old line go on after each branch; returns which tokens it does that with."""
        import torch  # noqa: PLC0415

        tokens = self._listing.tokens
        reach = [
            range(
                branch.position,
                min(branch.position + _REACH, self._line_ends[branch.position] + 1, len(tokens)),
            )
            for branch in branches
        ]
        places = torch.zeros((len(branches), _REACH), dtype=torch.long)
        for index, span in enumerate(reach):
            places[index, : len(span)] = torch.tensor(tokens[span.start : span.stop])
        likely = [reading.gather(1, places).tolist() for reading in rows]
        rejoined: list[set[int]] = []
        for index, (branch, span) in enumerate(zip(branches, reach, strict=True)):
            options = []
            for column, further in enumerate(span):
                following = (reading[index][column] for reading in likely)
                own = self._experts.own(further)
                bridge = tuple(new - old for new, old in zip(following, own, strict=True))
                options.append((self._experts.blend(bridge), further, bridge))
            options.sort(reverse=True)
            whole: set[int] = set()
            for place, (_, further, bridge) in enumerate(options[:_REJOINED]):
                candidate = self._add(branch, further, bridge)
                # Where the likeliest way makes a program, to copy on would make it once more.
                if place == 0 and candidate and self._ranking.meaning(candidate):
                    whole.add(tokens[further])
            rejoined.append(whole)
        return rejoined

    def _children(
        self,
        branches: Sequence[_Branch],
        rows: Sequence[Any],
        rejoined: Sequence[set[int]],
        width: int,
    ) -> list[tuple[int, _Branch, int]]:
        """The likeliest longer branches: the number of the shorter one, the branch, its token."""
        if not width:
            return []
        blended = self._experts.blend(rows).masked_fill(~self._vocabulary.within_line, NEVER)
        values, tokens = blended.topk(_CHILDREN)
        likely = [row.gather(1, tokens).tolist() for row in rows]
        found = []
        for index, branch in enumerate(branches):
            for place, token in enumerate(tokens[index].tolist()):
                copied = _COPYING if token in rejoined[index] else 0.0
                value = values[index, place].item() - copied
                if value <= NEVER:
                    continue
                added = (reading[index][place] for reading in likely)
                sums = tuple(a + b for a, b in zip(branch.likely, added, strict=True))
                text = branch.text + self._vocabulary.text(token)
                longer = _Branch(branch.position, text, sums, branch.promise + value)
                found.append((longer, token, index))
        best = _best(found, width, _PER_PLACE_LATER)
        return [(index, branch, token) for branch, token, index in best]

    def _add(self, branch: _Branch, further: int, bridge: tuple[float, ...]) -> Candidate | None:
        """Adds the edit that puts a branch in place of the tokens up to `further`; None when that
        reaches beyond the piece."""
        first, last = self._listing.place(branch.position), self._listing.place(further)
        if first is None or last is None or first[0] != last[0]:
            return None
        kind: Kind = "insert" if further == branch.position else "replace"
        if not branch.text:
            kind = "delete"
        edit = Edit(first[1], last[1], branch.text)
        weight = self._weights[branch.position]
        candidate = Candidate(first[0], edit, kind, branch.likely, bridge, weight)
        self._ranking.add(candidate)
        return candidate


def _best(found: list[Any], width: int, per_place: int) -> list[Any]:
    """The most promising branches, so many in all and so many of one place."""
    taken: dict[int, int] = {}
    best = []
    for item in sorted(found, key=lambda item: -item[0].promise):
        place = item[0].position
        if taken.get(place, 0) < per_place:
            taken[place] = taken.get(place, 0) + 1
            best.append(item)
            if len(best) == width:
                break
    return best
