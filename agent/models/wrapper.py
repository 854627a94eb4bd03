"""A model around another one: what it does not do in a way of its own, the other one does."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from agent.conversation import Conversation, ToolSpec
from agent.models.base import GiveUp, Model, Sampling, TurnDone


class Wrapper(Model):
    """Wraps `model`, whose `info` it has."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.info = model.info

    @property
    def ranks_candidates(self) -> bool:
        return self._model.ranks_candidates

    def branches(
        self,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        count: int,
        give_up: GiveUp = lambda _number, _text: "",
    ) -> AsyncGenerator[TurnDone, None] | None:
        return self._model.branches(conversation, tools, sampling, count, give_up)

    async def candidates(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling, count: int
    ) -> AsyncGenerator[TurnDone, None]:
        """As the wrapped model's own, where it ranks; else so many turns of this one."""
        chosen = self._model.candidates if self.ranks_candidates else super().candidates
        async with aclosing(chosen(conversation, tools, sampling, count)) as turns:
            async for done in turns:
                yield done

    async def close(self) -> None:
        await self._model.close()
