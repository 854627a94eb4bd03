"""A model that takes tokens and gives tokens, wherever they are computed.

The dialect writes the prompt and reads the turn; the source computes what lies between. Both are
opened when they are first needed.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from agent.conversation import Conversation, ToolSpec
from agent.models.base import (
    ContextOverflow,
    Event,
    Model,
    ModelInfo,
    Retrying,
    Sampling,
)
from agent.models.dialect import Dialect, Prompt
from agent.models.grammar import Grammar
from agent.models.settings import ModelSettings
from agent.models.source import Request, Reused, TokenSource
from agent.models.token_turn import TokenTurn


class TokenModel(Model):
    """One model over one source. Several turns may be asked for at once."""

    def __init__(self, info: ModelInfo, settings: ModelSettings) -> None:
        self.info = info
        self._settings = settings
        self._opening = asyncio.Lock()
        self._opened: tuple[TokenSource, Dialect] | None = None
        self._closed_amid: TokenTurn | None = None

    @abstractmethod
    async def _open(self) -> tuple[TokenSource, Dialect]:
        """Makes the source ready and completes `info`; called once, before the first turn."""

    async def _ready(self) -> tuple[TokenSource, Dialect]:
        async with self._opening:
            if self._opened is None:
                self._opened = await self._open()
                dialect = self._opened[1]
                self.output_bound = self._bound(dialect)
                self.toolset = dialect.toolset
                self.malformed_retries = dialect.malformed_retries
            return self._opened

    def _bound(self, dialect: Dialect) -> int:
        return min(dialect.output_bound, self._settings.output_bound)

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        """Streams one turn. Raises ContextOverflow before it asks for anything where the
        conversation does not fit."""
        source, dialect = await self._ready()
        turn = self._turn(dialect, conversation, tools, sampling)
        async with aclosing(self._stream(turn, source)) as events:
            async for event in events:
                yield event

    def _turn(
        self,
        dialect: Dialect,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        sampling: Sampling,
    ) -> TokenTurn:
        """A turn that has not begun. Raises ContextOverflow."""
        start = time.monotonic()
        prompt = dialect.prompt(conversation, tools, sampling.reasoning_effort)
        request = self._request(prompt, sampling, dialect)
        grammar = self._grammar(tools, prompt, request.max_tokens)
        parser = partial(dialect.parser, conversation, tools, prompt)
        return TokenTurn(dialect, replace(request, grammar=grammar), parser, start)

    def _grammar(self, tools: Sequence[ToolSpec], prompt: Prompt, room: int) -> Grammar | None:
        """What a turn of up to `room` tokens is held to, where the source can do that."""
        return None

    def count(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        """None before the model is ready."""
        if self._opened is None:
            return None
        return len(self._opened[1].prompt(conversation, tools, None).ids)

    async def _stream(self, turn: TokenTurn, source: TokenSource) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(source.stream(turn.rest())) as stream:
                async for item in stream:
                    for event in self._take(turn, item):
                        yield event
                    if isinstance(item, int) and turn.seconds > self._settings.turn_timeout:
                        break
        except GeneratorExit:
            # Whoever closed this may go on with it at once; no other turn can come between.
            self._closed_amid = turn
            raise
        turn.timed_out = not turn.stopped and turn.seconds > self._settings.turn_timeout
        for event in turn.close():
            yield event
        yield turn.done()

    def _take(self, turn: TokenTurn, item: int | Reused | Retrying) -> list[Event]:
        match item:
            case Reused(tokens):
                turn.cached_tokens = turn.cached_tokens or tokens
                return []
            case Retrying():
                turn.restart()
                return [item]
            case _:
                return turn.take(item)

    def answer(
        self,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        kept: int,
    ) -> AsyncGenerator[Event, None] | None:
        """Goes on from the tokens that are kept, on the same cache."""
        turn, self._closed_amid = self._closed_amid, None
        if turn is None or self._opened is None or not turn.answer_now(kept):
            return None
        return self._stream(turn, self._opened[0])

    def _request(self, prompt: Prompt, sampling: Sampling, dialect: Dialect) -> Request:
        limit = sampling.max_output_tokens or self._bound(dialect)
        window = self.info.context_window
        if window is not None:
            if len(prompt.ids) >= window:
                raise ContextOverflow(
                    f"the conversation has {len(prompt.ids)} tokens, and {self.info.name} reads no"
                    f" more than {window}",
                    "Start anew with a smaller task, or take a model with a larger window.",
                )
            limit = min(limit, window - len(prompt.ids))
        temperature, top_p = sampling.temperature, sampling.top_p
        return Request(
            prompt.ids,
            limit,
            dialect.temperature if temperature is None else temperature,
            dialect.top_p if top_p is None else top_p,
            sampling.seed,
        )

    async def close(self) -> None:
        opened, self._opened, self._closed_amid = self._opened, None, None
        if opened is not None:
            await opened[0].close()
