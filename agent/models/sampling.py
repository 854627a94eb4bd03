"""One token after the other from a model's scores, as a request wants them chosen."""

import os
from typing import Any

from agent.models.source import Request


class Row:
    """One continuation of a prompt: what has been chosen so far, and how to choose on.

    `defaults` is the model's generation configuration. Made and used in the thread that computes.
    """

    def __init__(self, request: Request, defaults: Any, device: Any) -> None:
        import torch  # noqa: PLC0415

        self.tokens: list[int] = []
        self.room = request.max_tokens
        self._prompt = list(request.ids)
        self._warpers = _warpers(request, defaults)
        self._penalty = getattr(defaults, "repetition_penalty", None) or 1.0
        self._greedy = request.temperature == 0 or (
            request.temperature is None and not defaults.do_sample
        )
        seed = int.from_bytes(os.urandom(7)) if request.seed is None else request.seed
        self._chance = torch.Generator(device).manual_seed(seed)
        written = request.ids[len(request.ids) - request.begun :]
        self._constraint = request.grammar.begin(written) if request.grammar else None

    def choose(self, scores: Any) -> int:
        """The next token, by the model's scores for each (a row of them)."""
        import torch  # noqa: PLC0415

        # On a GPU the scores are still being computed while this says what may follow.
        allowed = self._constraint.allowed() if self._constraint else None
        scores = scores.float()
        if self._penalty != 1.0:
            scores = self._penalised(scores)
        if allowed is not None:
            scores = _masked(scores, allowed)
        if self._greedy:
            token = int(scores.argmax())
        else:
            for warper in self._warpers:
                scores = warper(None, scores)
            token = int(torch.multinomial(scores.softmax(-1), 1, generator=self._chance))
        self.tokens.append(token)
        if self._constraint:
            self._constraint.take(token)
        return token

    def _penalised(self, scores: Any) -> Any:
        import torch  # noqa: PLC0415
        from transformers import RepetitionPenaltyLogitsProcessor  # noqa: PLC0415

        seen = torch.tensor([self._prompt + self.tokens], device=scores.device)
        return RepetitionPenaltyLogitsProcessor(self._penalty)(seen, scores)


def _masked(scores: Any, allowed: Any) -> Any:
    """The scores without what is not allowed; a vocabulary may be smaller than the model's scores
    are many, and larger."""
    import torch  # noqa: PLC0415

    size = min(scores.shape[-1], len(allowed))
    mask = torch.from_numpy(allowed[:size]).to(scores.device)
    made = torch.full_like(scores, -torch.inf)
    made[:, :size] = scores[:, :size].masked_fill(~mask, -torch.inf)
    return made


def _warpers(request: Request, defaults: Any) -> list[Any]:
    """What a generation configuration knows of, in the library's order."""
    from transformers import (  # noqa: PLC0415
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    temperature = defaults.temperature if request.temperature is None else request.temperature
    top_p = defaults.top_p if request.top_p is None else request.top_p
    # Where it names none, the library itself would keep the 50 likeliest.
    top_k, min_p = defaults.top_k, getattr(defaults, "min_p", None)
    made: list[Any] = []
    if temperature and temperature != 1.0:
        made.append(TemperatureLogitsWarper(float(temperature)))
    if top_k:
        made.append(TopKLogitsWarper(top_k))
    if top_p is not None and top_p < 1.0:
        made.append(TopPLogitsWarper(float(top_p)))
    if min_p:
        made.append(MinPLogitsWarper(min_p))
    return made
