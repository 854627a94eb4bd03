"""Many short continuations of one text, scored together.

A causal model reads a context and a text once. After that a branch (leave the text before its
token `position`, go on with tokens of its own) costs those tokens only: all branches of a pass lie
in one sequence, and the attention mask lets each see the text before its position and itself,
nothing else. So hundreds of branches at different places share one pass and one KV cache.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: Tokens of one forward pass: enough to keep the processor's matrix units busy, little enough
#: that masks and logits stay small.
_PASS = 512


@dataclass(frozen=True)
class Branch:
    """Leave the text before its token number `position` and go on with `tokens` (not empty)."""

    position: int
    tokens: tuple[int, ...]


class Lookahead:
    """One model, one context, one text. Not safe to use from several threads at once.

    `own` holds the log-probability of each token of the text; `read` counts the tokens that went
    through the model.
    """

    def __init__(
        self,
        model: Any,
        context: Sequence[int],
        text: Sequence[int],
        before_pass: Callable[[], None] = lambda: None,
    ) -> None:
        """Reads the context (at least one token) and the text. `before_pass` is called before each
        pass through the model; what it raises ends the work."""
        from transformers import DynamicCache  # noqa: PLC0415

        self._model = model
        self._before_pass = before_pass
        self._offset = len(context)
        self._ids = [*context, *text]
        self._cache = DynamicCache()
        self.read = 0
        self._states = self._prefill()
        self.own = self._own(text)

    def _prefill(self) -> Any:
        import torch  # noqa: PLC0415

        states = []
        with torch.inference_mode():
            for start in range(0, len(self._ids), _PASS):
                part = torch.tensor([self._ids[start : start + _PASS]])
                states.append(self._forward(part))
        return torch.cat(states)[self._offset - 1 :]

    def _forward(self, ids: Any, **more: Any) -> Any:
        self._before_pass()
        self.read += ids.shape[1]
        out = self._model.model(ids, past_key_values=self._cache, use_cache=True, **more)
        return out.last_hidden_state[0]

    def _rows(self, states: Any) -> Any:
        import torch  # noqa: PLC0415

        with torch.inference_mode():
            return torch.log_softmax(self._model.lm_head(states).float(), -1)

    def _own(self, text: Sequence[int]) -> list[float]:
        import torch  # noqa: PLC0415

        own: list[float] = []
        for start in range(0, len(text), _PASS):
            part = torch.tensor(text[start : start + _PASS])
            rows = self.at(range(start, start + len(part)))
            own += rows.gather(1, part[:, None])[:, 0].tolist()
        return own

    def at(self, positions: Sequence[int]) -> Any:
        """Log-probabilities over the vocabulary of the token at each position, one row each."""
        return self._rows(self._states[list(positions)])

    def likelihoods(self, branches: Sequence[Branch]) -> list[list[float]]:
        """Per branch, the log-probability of each of its tokens after what stands before it."""
        found: list[list[float]] = [[] for _ in branches]
        for numbers in _passes(branches):
            part = [branches[number] for number in numbers]
            for number, values in zip(numbers, self._likelihoods(part), strict=True):
                found[number] = values
        return found

    def _likelihoods(self, branches: Sequence[Branch]) -> Iterator[list[float]]:
        import torch  # noqa: PLC0415

        firsts = self.at([branch.position for branch in branches])
        lengths = torch.tensor([len(branch.tokens) for branch in branches])
        ends = lengths.cumsum(0)
        owner = torch.repeat_interleave(torch.arange(len(branches)), lengths)
        depth = torch.arange(int(ends[-1])) - (ends - lengths)[owner]
        positions = torch.tensor([branch.position for branch in branches])[owner]
        own = (owner[:, None] == owner[None, :]) & (depth[None, :] <= depth[:, None])
        tokens = [token for branch in branches for token in branch.tokens]
        rows = self._rows(self.pass_over(tokens, positions, depth, own))
        self.forget(len(tokens))
        targets = torch.tensor([*tokens[1:], 0])
        values = rows.gather(1, targets[:, None])[:, 0].tolist()
        start = 0
        for number, branch in enumerate(branches):
            first = firsts[number, branch.tokens[0]].item()
            yield [first, *values[start : start + len(branch.tokens) - 1]]
            start += len(branch.tokens)

    def pass_over(self, tokens: Sequence[int], positions: Any, depth: Any, own: Any) -> Any:
        """Hidden states of `tokens`, of which each sees the text before its position and, of what
        was passed over since the text, what its row of `own` says."""
        import torch  # noqa: PLC0415

        limits = positions + self._offset
        base = torch.arange(len(self._ids))[None, :] < limits[:, None]
        with torch.inference_mode():
            return self._forward(
                torch.tensor([list(tokens)]),
                attention_mask=torch.cat([base, own], 1)[None, None],
                position_ids=(limits + depth)[None],
            )

    def forget(self, count: int) -> None:
        """Drops the last `count` tokens from the cache."""
        if count:
            self._cache.crop(-count)

    def keep(self, slots: Any) -> None:
        """Of what was passed over since the text, keeps only these places, in this order."""
        import torch  # noqa: PLC0415

        places = torch.cat([torch.arange(len(self._ids)), slots + len(self._ids)])
        for layer in self._cache.layers:
            layer.keys = layer.keys.index_select(2, places)
            layer.values = layer.values.index_select(2, places)


class Growth:
    """A generation of branches that grows by one token at a time; each may split or die.

    Generation 0 are the `positions`, without tokens. One at a time for one `Lookahead`.
    """

    def __init__(self, lookahead: Lookahead, positions: Sequence[int]) -> None:
        import torch  # noqa: PLC0415

        self._lookahead = lookahead
        self._positions = torch.tensor(list(positions), dtype=torch.long)
        self._depth = torch.zeros(len(positions), dtype=torch.long)
        # Which of the tokens passed over so far each living branch is made of.
        self._made_of = torch.zeros((len(positions), 0), dtype=torch.bool)

    def feed(self, parents: Sequence[int], tokens: Sequence[int]) -> Any:
        """The next generation: `tokens[n]` put to branch `parents[n]` of the last one.

        Returns one row of log-probabilities of what follows for each. Branches without a child
        are gone.
        """
        import torch  # noqa: PLC0415

        origin = torch.tensor(list(parents), dtype=torch.long)
        made_of = self._made_of[origin]
        slots = made_of.any(0).nonzero()[:, 0]
        self._lookahead.keep(slots)
        own = torch.cat([made_of[:, slots], torch.eye(len(tokens), dtype=torch.bool)], 1)
        positions, depth = self._positions[origin], self._depth[origin]
        rows = []
        for start in range(0, len(tokens), _PASS):
            end = min(start + _PASS, len(tokens))
            part = own[start:end, : len(slots) + end]
            states = self._lookahead.pass_over(
                tokens[start:end], positions[start:end], depth[start:end], part
            )
            rows.append(self._lookahead._rows(states))
        self._positions, self._depth, self._made_of = positions, depth + 1, own
        return torch.cat(rows)

    def close(self) -> None:
        """Frees what the branches hold."""
        self._lookahead.forget(self._made_of.shape[1])


def _passes(branches: Sequence[Branch]) -> Iterator[list[int]]:
    """The numbers of the branches, in groups that fit a pass."""
    group: list[int] = []
    size = 0
    for number, branch in enumerate(branches):
        length = len(branch.tokens)
        if group and size + length > _PASS:
            yield group
            group, size = [], 0
        group.append(number)
        size += length
    if group:
        yield group
