"""Candidate edits in the order in which they are worth a test."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agent.models.edits import Edit
from agent.models.experts import Taste
from agent.models.python_source import PythonSource

Kind = Literal["replace", "insert", "delete", "line"]


@dataclass(frozen=True)
class Candidate:
    """An edit of the file `path`. `likely` is the log-probability of its new tokens and `bridge`
    the gain of the token after them, both by reading; `weight` is how suspicious the place is."""

    path: str
    edit: Edit
    kind: Kind
    likely: tuple[float, ...]
    bridge: tuple[float, ...]
    weight: float

    def score(self, taste: Taste) -> float:
        gains = zip(taste.readings, self.likely, self.bridge, strict=True)
        said = sum(share * (likely + bridge) for share, likely, bridge in gains)
        return said + taste.suspicion * math.log(self.weight)


class Ranking:
    """Collects candidates and gives them out, best first, each program once."""

    def __init__(self, sources: Mapping[str, PythonSource], taste: Taste) -> None:
        self._sources = sources
        self._taste = taste
        self._found: dict[tuple[str, Edit], tuple[float, Candidate]] = {}
        self._meanings: dict[tuple[str, Edit], str | None] = {}
        # What stands there now is no candidate.
        self._given = {
            (path, source.meaning(Edit(place, place, "")))
            for path, source in sources.items()
            for place in source.function_starts
        }

    def add(self, candidate: Candidate) -> None:
        key = (candidate.path, candidate.edit)
        score = candidate.score(self._taste)
        if key not in self._found or score > self._found[key][0]:
            self._found[key] = (score, candidate)

    def meaning(self, candidate: Candidate) -> str | None:
        """What the file means after the edit; None where that is no program that could run."""
        key = (candidate.path, candidate.edit)
        if key not in self._meanings:
            self._meanings[key] = self._sources[candidate.path].meaning(candidate.edit)
        return self._meanings[key]

    def ordered(self, temperature: float = 0.0, seed: int | None = None) -> Iterator[Candidate]:
        """The candidates not given out yet, by score: those that mean something, and each meaning
        once.

        With a temperature the order is drawn: as if by drawing one after the other, each with a
        probability that grows with its score (Gumbel's trick).
        """
        draw = random.Random(seed)  # noqa: S311 - nothing secret
        noisy = (
            [
                (
                    score - temperature * math.log(-math.log(max(draw.random(), 1e-12))),
                    score,
                    candidate,
                )
                for score, candidate in self._found.values()
            ]
            if temperature
            else [(score, score, each) for score, each in self._found.values()]
        )
        for _, _, candidate in sorted(noisy, key=lambda item: (-item[0], -item[1])):
            meaning = (candidate.path, self.meaning(candidate))
            if meaning[1] is not None and meaning not in self._given:
                self._given.add(meaning)
                yield candidate
