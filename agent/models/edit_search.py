"""The search of the embedded model for edits: from a briefing to candidates, the best first."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.models.base import Sampling
from agent.models.briefing import Briefing
from agent.models.divergence import Divergence
from agent.models.exchange import suspicious_exchanges
from agent.models.experts import Experts, Taste
from agent.models.insertion import Insertion, gaps_of
from agent.models.listing import Listing, Piece
from agent.models.lookahead import Lookahead
from agent.models.python_source import PythonSource
from agent.models.ranking import Candidate, Ranking
from agent.models.suspicion import weigh
from agent.models.vocabulary import Vocabulary
from agent.models.whole import Rating
from agent.models.wrapping import likely_wrappings

#: Characters of code that fit: whole files, or of more only the suspect functions.
_CODE = 9_000
#: Edits within a line that are tried before exchanges, wrappings and new lines are thought of.
_FIRST = 120
#: With a seed the order is drawn, a little away from the most probable one.
_TEMPERATURE = 0.3


@dataclass(frozen=True)
class Parts:
    """A model that was loaded, its tokenizer and its vocabulary."""

    model: Any
    tokenizer: Any
    vocabulary: Vocabulary


@dataclass(frozen=True)
class Found:
    """A candidate, and the tokens that were read to find it."""

    candidate: Candidate
    tokens: int


class _Stopped(Exception):
    """Nobody waits for the search any more."""


class EditSearch:
    """One ranking of edits for one state of the conversation."""

    def __init__(self, parts: Parts, briefing: Briefing, sampling: Sampling) -> None:
        self._parts = parts
        self._briefing = briefing
        self._suspects = briefing.suspects
        self._sources = {path: PythonSource(text) for path, text in briefing.files.items()}
        self._sampling = sampling
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ends the search before the model's next pass; may be called from any thread."""
        self._stop.set()

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def found(self) -> Iterator[Found]:
        """The candidates, most promising first. Blocks while the model computes."""
        read = 0
        try:
            for candidate, total in self._candidates():
                self._go_on()
                yield Found(candidate, total - read)
                read = total
        except _Stopped:
            return

    def _candidates(self) -> Iterator[tuple[Candidate, int]]:
        """The candidates, each with all tokens read so far."""
        listing = Listing(self._pieces(), self._parts.tokenizer)
        characters = {path: weigh(s, self._ran(path)) for path, s in self._sources.items()}
        experts = self._experts(listing)
        ranking = Ranking(self._sources, experts.taste)
        weights = _by_token(listing, characters)
        vocabulary = self._parts.vocabulary
        Divergence(listing, weights, experts, vocabulary, ranking).search()
        for _, candidate in zip(range(_FIRST), self._ordered(ranking), strict=False):
            yield candidate, experts.read
        tokenizer = self._parts.tokenizer
        rating = Rating(listing, experts, tokenizer, ranking)
        rating.rate(suspicious_exchanges(self._sources, characters))
        rating.rate(likely_wrappings(self._sources, characters, listing, experts, tokenizer))
        gaps = [
            gap
            for path, source in self._sources.items()
            for gap in gaps_of(path, source, characters[path], listing)
        ]
        Insertion(listing, gaps, experts, vocabulary, ranking).search()
        for candidate in self._ordered(ranking):
            yield candidate, experts.read

    def _experts(self, listing: Listing) -> Experts:
        contexts = [self._ids("<|endoftext|>"), self._ids(self._prompt(listing.text))]
        model = self._parts.model
        readings = [Lookahead(model, context, listing.tokens, self._go_on) for context in contexts]
        return Experts(readings, Taste())

    def _ordered(self, ranking: Ranking) -> Iterator[Candidate]:
        warmth = self._sampling.temperature
        if warmth is None:
            warmth = 0.0 if self._sampling.seed is None else _TEMPERATURE
        return ranking.ordered(warmth, self._sampling.seed)

    def _ran(self, path: str) -> dict[int, float]:
        return {
            line: score
            for suspect in self._suspects
            if suspect.path == path
            for line, score in suspect.lines
        }

    def _pieces(self) -> list[Piece]:
        """The files whole when they fit, else the suspect functions of each."""
        if sum(len(source.text) for source in self._sources.values()) <= _CODE:
            return [Piece(path, 0, source.text) for path, source in self._sources.items()]
        pieces: dict[tuple[str, int], Piece] = {}
        room = _CODE
        for suspect in self._suspects:
            source = self._sources.get(suspect.path)
            if source is None or suspect.last_line >= source.lines + 1:
                continue
            start = source.line_span(suspect.first_line)[0]
            end = source.line_span(suspect.last_line)[1]
            nested = any(
                each.path == suspect.path and each.start <= start <= each.start + len(each.text)
                for each in pieces.values()
            )
            if nested or end - start > room:
                continue
            pieces[suspect.path, start] = Piece(suspect.path, start, source.text[start:end] + "\n")
            room -= end - start
        return [pieces[key] for key in sorted(pieces)]

    def _prompt(self, listing: str) -> str:
        told = self._briefing
        task = f"{told.task}\n\n" if told.task else ""
        return (
            "<|im_start|>system\nYou are a careful Python programmer.<|im_end|>\n"
            f"<|im_start|>user\n{task}This code has a bug.\n\n```python\n{listing}```\n\n"
            f"{told.failure}\n\nWrite the corrected code.<|im_end|>\n"
            "<|im_start|>assistant\n```python\n"
        )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._parts.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _by_token(listing: Listing, characters: Mapping[str, Sequence[float]]) -> list[float]:
    """The weight of each token: the highest of its characters."""
    weights = []
    for number, (start, end) in enumerate(zip(listing.offsets, listing.offsets[1:], strict=False)):
        place = listing.place(number)
        if place is None:
            weights.append(0.0)
            continue
        path, character = place
        weights.append(max(characters[path][character : character + end - start], default=0.0))
    return weights
