"""Two readings of the same code, asked together: as code, and as code being corrected.

The plain reading judges each token by what stands before it, as any code; the correcting one has
seen the faulty code and what the test said, and is writing the code anew: it copies, and where its
trust in the copy wanes, it says so. Neither knows enough alone; what they agree on ranks first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from agent.models.lookahead import Growth, Lookahead

#: A log-probability that no token has.
NEVER = -1e9


@dataclass(frozen=True)
class Taste:
    """How the gains of an edit make its score (see `Experts.score`).

    A gain is the log-probability of the new tokens less that of the old ones. `weights` and `caps`
    are for the readings in order: beyond its cap a gain says only that the old code is unusual,
    which its author may have meant.
    """

    weights: tuple[float, ...] = (0.5, 1.0)
    caps: tuple[float, ...] = (2.0, 99.0)
    suspicion: float = 2.0


class Experts:
    """Several readings (`Lookahead`s) of the tokens of one text."""

    def __init__(self, readings: Sequence[Lookahead], taste: Taste) -> None:
        self.readings = readings
        self.taste = taste
        self._sums = [list(accumulate(reading.own, initial=0.0)) for reading in readings]

    @property
    def read(self) -> int:
        """Tokens that went through the model."""
        return sum(reading.read for reading in self.readings)

    def old(self, first: int, end: int) -> tuple[float, ...]:
        """The log-probability of the text's own tokens from `first` up to `end`, by reading."""
        return tuple(sums[end] - sums[first] for sums in self._sums)

    def at(self, positions: Sequence[int]) -> list[Any]:
        """What may stand at each position: log-probabilities, a matrix a reading."""
        return [reading.at(positions) for reading in self.readings]

    def blend(self, matrices: Sequence[Any]) -> Any:
        """Log-probabilities of all readings as one score a token."""
        parts = zip(self.taste.weights, matrices, strict=True)
        return sum(weight * matrix for weight, matrix in parts)

    def score(self, new: Sequence[float], old: Sequence[float]) -> float:
        """How good it is to have tokens of likelihood `new` in place of ones of `old`."""
        taste = self.taste
        gains = zip(taste.weights, taste.caps, new, old, strict=True)
        return sum(weight * min(cap, better - worse) for weight, cap, better, worse in gains)

    def grow(self, positions: Sequence[int]) -> "Sprouts":
        return Sprouts(self, positions)


class Sprouts:
    """Branches that grow in all readings at once; see `Growth`."""

    def __init__(self, experts: Experts, positions: Sequence[int]) -> None:
        self._growths = [Growth(reading, positions) for reading in experts.readings]

    def feed(self, parents: Sequence[int], tokens: Sequence[int]) -> list[Any]:
        """The next generation; returns what may follow each, a matrix a reading."""
        return [growth.feed(parents, tokens) for growth in self._growths]

    def close(self) -> None:
        for growth in self._growths:
            growth.close()
