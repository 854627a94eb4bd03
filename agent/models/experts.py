"""Two readings of the same code, asked together: as code, and as code being corrected.

The plain reading says what it would have written at each place, as in any code; the correcting one
has seen the faulty code and what the test said, and is writing the code anew: it copies, and where
its trust in the copy wanes, it says so. Neither knows enough alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.models.lookahead import Branch, Growth, Lookahead

#: A log-probability that no token has.
NEVER = -1e9


@dataclass(frozen=True)
class Taste:
    """What makes the score of an edit: the readings' log-probabilities of what is new, weighted,
    and the logarithm of how suspicious the place is, weighted.

    The defaults were fitted to 60 defects of other code than the bundled tasks'; what the old code
    was worth to the readings turned out not to matter.
    """

    readings: tuple[float, ...] = (0.8, 0.2)
    suspicion: float = 1.8


class Experts:
    """Several readings (`Lookahead`s) of the tokens of one text."""

    def __init__(self, readings: Sequence[Lookahead], taste: Taste) -> None:
        self.readings = readings
        self.taste = taste

    @property
    def read(self) -> int:
        """Tokens that went through the model."""
        return sum(reading.read for reading in self.readings)

    def own(self, position: int) -> tuple[float, ...]:
        """The log-probability of the text's own token, by reading."""
        return tuple(reading.own[position] for reading in self.readings)

    def at(self, positions: Sequence[int]) -> list[Any]:
        """What may stand at each position: log-probabilities, a matrix a reading."""
        return [reading.at(positions) for reading in self.readings]

    def likelihoods(self, branches: Sequence[Branch]) -> list[tuple[list[float], ...]]:
        """Per branch, the log-probability of each of its tokens after what stands before it, by
        reading."""
        found = [reading.likelihoods(branches) for reading in self.readings]
        return list(zip(*found, strict=True))

    def blend(self, values: Sequence[Any]) -> Any:
        """Log-probabilities by reading, numbers or matrices, as one."""
        parts = zip(self.taste.readings, values, strict=True)
        return sum(weight * value for weight, value in parts)

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
