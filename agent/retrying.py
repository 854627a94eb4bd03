"""A model whose malformed turns are asked for again from the same prompt.

A model that is sampled slips now and then: a header without a channel, a tool that there is not,
arguments that are no JSON. What it reads of its own slip it repeats, so nothing of such a turn
enters the conversation until it was asked for as often as allowed. What was cut off is no slip.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from agent.budget import Plan
from agent.conversation import Conversation, ToolSpec
from agent.models import malformed
from agent.models.base import (
    Event,
    Malformed,
    MalformedKind,
    Model,
    Sampling,
    TurnDone,
)
from agent.models.wrapper import Wrapper
from tools.arguments import is_object
from tools.tool import Toolbox

#: What another try does not mend: a server was asked again already, a limit is the same again.
_FINAL: frozenset[MalformedKind] = frozenset({"unparsed", "cut"})
#: After so many headers without a channel, one try is sampled at this share of the temperature.
_COOL_AFTER = 2
_COOLER = 0.6
#: Seeds of tries are far from those of candidates, which count up.
_STRIDE = 1_000_003


def retries_of(model: Model, plan: Plan) -> int:
    """How often a malformed turn is asked for again: what the user set, else what the model needs.
    What was recorded is played as it was, and what is always the likeliest would be the same."""
    if not model.watched or plan.sampling.temperature == 0:
        return 0
    wanted = plan.malformed_retries
    return model.malformed_retries if wanted is None else wanted


class RetriedModel(Wrapper):
    """`model`, whose malformed turns are asked for again `retries` times; `toolbox` knows which
    calls can be made."""

    def __init__(self, model: Model, toolbox: Toolbox, retries: int) -> None:
        super().__init__(model)
        self._toolbox = toolbox
        self._retries = retries

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        """Streams one turn as the model does. After each malformed try a `Malformed` comes, then
        the next try; the last one is given as it is."""
        tries: list[Malformed] = []
        while True:
            done: TurnDone | None = None
            varied = _varied(sampling, tries)
            async with aclosing(self._model.generate(conversation, tools, varied)) as events:
                async for event in events:
                    if isinstance(event, TurnDone):
                        done = event
                        break
                    yield event
            self.info = self._model.info
            if done is None:  # the caller knows what to make of a stream without an end
                return
            kind, problem = self._fault(done)
            if kind is None or kind in _FINAL or len(tries) >= self._retries:
                yield replace(done, kind=kind, malformed=tuple(tries))
                return
            tries.append(Malformed(kind, problem, done.message, done.usage, len(tries) + 1))
            yield tries[-1]

    def _fault(self, done: TurnDone) -> tuple[MalformedKind | None, str]:
        """What is wrong with a turn, and in words."""
        kind = malformed.kind_of(done)
        if kind is not None:
            return kind, done.problem or f"The turn has {malformed.KINDS[kind]}."
        for call in done.message.calls:
            if self._toolbox.find(call.name) is None:
                return "tool", f"There is no tool named {call.name[:80]}."
            if not is_object(call.arguments):
                return "arguments", f"The arguments of {call.name[:80]} are no JSON object."
        return None, ""

    async def candidates(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling, count: int
    ) -> AsyncGenerator[TurnDone, None]:
        """As the wrapped model's own, or so many turns, each tried as often as allowed; what is
        computed side by side is not asked for again. A malformed one is passed over, unless all
        are."""
        lost: list[Malformed] = []
        last: TurnDone | None = None
        async with aclosing(super().candidates(conversation, tools, sampling, count)) as turns:
            async for done in turns:
                lost += done.malformed
                kind, problem = self._fault(done)
                if kind is None:
                    yield _with(done, lost)
                    lost, last = [], None
                else:
                    last = replace(done, kind=kind)
                    lost.append(Malformed(kind, problem, done.message, done.usage, len(lost) + 1))
        if last is not None:
            yield _with(last, lost[:-1])


def _with(done: TurnDone, lost: Sequence[Malformed]) -> TurnDone:
    """A turn that also pays for those that were malformed before it."""
    spent = sum(each.usage.total_tokens for each in lost) + done.usage.abandoned_tokens
    return replace(done, usage=replace(done.usage, abandoned_tokens=spent), malformed=tuple(lost))


def _varied(sampling: Sampling, tries: Sequence[Malformed]) -> Sampling:
    """The sampling of the next try: another seed, and a lower temperature once where headers go
    wrong."""
    if sampling.seed is not None:
        sampling = replace(sampling, seed=sampling.seed + len(tries) * _STRIDE)
    if [each.kind for each in tries] == ["channel"] * _COOL_AFTER:
        warm = 1.0 if sampling.temperature is None else sampling.temperature
        sampling = replace(sampling, temperature=warm * _COOLER)
    return sampling
