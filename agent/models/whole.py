"""Edits that are made whole and rated whole by the readings.

Some edits take several new tokens that each are unlikely alone, so that a search which grows edits
token by token loses them on the way. Where there are few of a kind, all are made and rated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.models.edits import Edit
from agent.models.experts import Experts
from agent.models.listing import Listing
from agent.models.lookahead import Branch
from agent.models.ranking import Candidate, Ranking

#: Tokens after an edit that are tokenized with it: how a text is cut depends on what follows.
_AFTER = 4


@dataclass(frozen=True)
class WholeEdit:
    """An edit of the file `path`; `weight` is how suspicious the place is."""

    path: str
    edit: Edit
    weight: float


class Rating:
    """Rates edits of what a listing shows, and adds them to a ranking."""

    def __init__(
        self, listing: Listing, experts: Experts, tokenizer: Any, ranking: Ranking
    ) -> None:
        self._listing = listing
        self._experts = experts
        self._tokenizer = tokenizer
        self._ranking = ranking

    def rate(self, edits: Iterable[WholeEdit]) -> None:
        """Adds each edit, if its place is shown."""
        found = [(each, *branch) for each in edits if (branch := self._branch(each)) is not None]
        likely = self._experts.likelihoods([branch for _, branch, _ in found])
        for (each, _, further), values in zip(found, likely, strict=True):
            self._ranking.add(self._candidate(each, further, values))

    def _branch(self, each: WholeEdit) -> tuple[Branch, int] | None:
        """The new tokens and one more, the first that stands there now and follows them; and the
        number of that. None where the listing does not show the place."""
        listing, edit = self._listing, each.edit
        start, end = (listing.offset(each.path, place) for place in (edit.start, edit.end))
        if start is None or end is None:
            return None
        first = listing.holding(start)
        last = min(listing.holding(end) + _AFTER, len(listing.tokens))
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

    def _candidate(
        self, each: WholeEdit, further: int, values: Sequence[Sequence[float]]
    ) -> Candidate:
        likely = tuple(sum(reading[:-1]) for reading in values)
        own = self._experts.own(further)
        bridge = tuple(reading[-1] - before for reading, before in zip(values, own, strict=True))
        return Candidate(each.path, each.edit, "replace", likely, bridge, each.weight)


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
