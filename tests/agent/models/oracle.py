"""A stand-in for the model's readings that would write one given text; and words as tokens."""

import re
from collections.abc import Sequence
from typing import Any

from agent.models.experts import Experts, Taste
from agent.models.lookahead import Branch

_WORD = re.compile(r"\n+ *(?= |\Z)|\n+| ?\w+| ?[^\w\s]| +")
_SIZE = 400


class Words:
    """A tokenizer of whole words; a line break takes all but one of the blanks after it."""

    all_special_ids = (0,)

    def __init__(self, *texts: str) -> None:
        known = {word for text in texts for word in _WORD.findall(text)}
        self._words = ["<end>", *sorted(known)]
        self._ids = {word: number for number, word in enumerate(self._words)}

    def __len__(self) -> int:
        return len(self._words)

    def __call__(self, text: str, **_: Any) -> dict[str, Any]:
        spans = [match.span() for match in _WORD.finditer(text)]
        ids = [self._ids.get(text[first:last], 0) for first, last in spans]
        return {"input_ids": ids, "offset_mapping": spans}

    def batch_decode(self, batch: Sequence[Sequence[int]]) -> list[str]:
        return ["".join(self._words[number] for number in ids) for ids in batch]


class _Oracle:
    """What would be a `Lookahead`: in front of what it wants it is sure, elsewhere it guesses."""

    def __init__(self, text: Sequence[int], wanted: Sequence[int], size: int) -> None:
        self._text, self._wanted, self._size = list(text), list(wanted), size
        self.read = 0
        self.own = [self.row(text[:n])[token].item() for n, token in enumerate(text)]

    def row(self, before: Sequence[int]) -> Any:
        import torch

        row = torch.full((self._size,), -9.0)
        if self._wanted[: len(before)] == list(before) and len(before) < len(self._wanted):
            row[self._wanted[len(before)]] = -0.1
        elif len(before) < len(self._text):
            # Having seen the text, it copies where it does not know better.
            row[self._text[len(before)]] = -1.0
        return row

    def at(self, positions: Sequence[int]) -> Any:
        import torch

        return torch.stack([self.row(self._text[:position]) for position in positions])

    def likelihoods(self, branches: Sequence[Branch]) -> list[list[float]]:
        found = []
        for branch in branches:
            written = [*self._text[: branch.position], *branch.tokens]
            places = range(branch.position, len(written))
            found.append([self.row(written[:n])[written[n]].item() for n in places])
        return found


class _Growth:
    def __init__(self, oracle: _Oracle, positions: Sequence[int]) -> None:
        self._oracle = oracle
        self._written = [oracle._text[:position] for position in positions]

    def feed(self, parents: Sequence[int], tokens: Sequence[int]) -> list[Any]:
        import torch

        self._written = [
            [*self._written[parent], token] for parent, token in zip(parents, tokens, strict=True)
        ]
        return [torch.stack([self._oracle.row(written) for written in self._written])]

    def close(self) -> None:
        pass


class OracleExperts(Experts):
    """Readings that would write `wanted` where `text` stands."""

    def __init__(self, text: Sequence[int], wanted: Sequence[int], size: int) -> None:
        self._oracle = _Oracle(text, wanted, size)
        super().__init__([self._oracle], Taste((1.0,), 1.0))  # type: ignore[list-item]

    def grow(self, positions: Sequence[int]) -> Any:
        return _Growth(self._oracle, positions)
