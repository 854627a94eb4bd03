"""A model that runs in this process: any causal model that transformers can load.

gpt-oss speaks harmony, every other model its tokenizer's chat template. Heavy libraries are
imported when the model is prepared, not before.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal

from agent.conversation import AssistantMessage, Conversation, ToolSpec
from agent.models import loading, malformed
from agent.models.base import (
    ContextOverflow,
    Event,
    Model,
    ModelInfo,
    ReasoningDelta,
    Sampling,
    TurnDone,
    Usage,
)
from agent.models.dialect import Dialect, Parser, Prompt
from agent.models.generation import Generator, Request
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_turn import CHANNEL
from agent.models.settings import ModelSettings
from agent.models.templates import TemplateDialect
from sandbox.errors import SetupError


def open_local(name_or_path: str, settings: ModelSettings) -> Model:
    """The model in a folder, or of that name in the Hugging Face cache; loaded when it is first
    needed."""
    return LocalModel(name_or_path, settings)


class LocalModel(Model):
    """One model in this process. Turns are computed one at a time."""

    def __init__(self, name: str, settings: ModelSettings) -> None:
        self._name = name
        self._settings = settings
        self._loading = asyncio.Lock()
        self._generator: Generator | None = None
        self._dialect: Dialect | None = None
        self._unfinished: _Turn | None = None
        self.info = ModelInfo(name, "transformers", context_window=settings.context_window)

    async def prepare(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Loads the model unless it is loaded. Raises SetupError, shown to the user, where it is
        not here, cannot be run or does not fit."""
        if self._generator is None:
            say(f"loading the model {self._name}")
        await self._ready()

    async def _ready(self) -> tuple[Generator, Dialect]:
        async with self._loading:
            if self._generator is None or self._dialect is None:
                loaded = await asyncio.to_thread(loading.load, self._name)
                self._dialect = dialect_of(loaded)
                self._generator = Generator(loaded.model, self._dialect.stop_ids)
                self._describe(loaded)
                self.output_bound = min(self._dialect.output_bound, self._settings.output_bound)
            return self._generator, self._dialect

    def _describe(self, loaded: loading.Loaded) -> None:
        windows = (loaded.context_window, self._settings.context_window)
        self.info = replace(
            self.info,
            revision=loaded.weights.revision,
            quantisation=loaded.precision,
            context_window=min((w for w in windows if w), default=None),
        )

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        """Streams one turn. Raises ContextOverflow before it computes anything where the
        conversation does not fit, and ModelError where memory runs out."""
        generator, dialect = await self._ready()
        start = time.monotonic()
        prompt = dialect.prompt(conversation, tools, sampling.reasoning_effort)
        request = self._request(prompt, sampling, dialect)
        turn = _Turn(prompt, dialect.parser(conversation, tools, prompt), request, start)
        async with aclosing(self._stream(turn, generator, dialect)) as events:
            async for event in events:
                yield event

    async def _stream(
        self, turn: "_Turn", generator: Generator, dialect: Dialect
    ) -> AsyncGenerator[Event, None]:
        self._unfinished = turn
        async with aclosing(generator.stream(turn.rest())) as tokens:
            async for token in tokens:
                for event in turn.take(token, generator.cached_tokens):
                    yield event
                if turn.seconds > self._settings.turn_timeout:
                    turn.timed_out = True
                    break
        for event in turn.parser.close():
            yield event
        self._unfinished = None
        yield turn.done(dialect.stop_ids)

    def count(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        """None before the model is loaded."""
        return len(self._dialect.prompt(conversation, tools, None).ids) if self._dialect else None

    def answer(
        self,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        kept: int,
    ) -> AsyncGenerator[Event, None] | None:
        """Goes on from the tokens that are kept, on the same cache."""
        turn, generator, dialect = self._unfinished, self._generator, self._dialect
        if turn is None or generator is None or dialect is None:
            return None
        parser = dialect.parser(conversation, tools, turn.prompt)
        if not turn.answer_now(parser, dialect, kept):
            return None
        return self._stream(turn, generator, dialect)

    def _request(self, prompt: Prompt, sampling: Sampling, dialect: Dialect) -> Request:
        limit = sampling.max_output_tokens or min(dialect.output_bound, self._settings.output_bound)
        window = self.info.context_window
        if window is not None:
            if len(prompt.ids) >= window:
                raise ContextOverflow(
                    f"the conversation has {len(prompt.ids)} tokens, and {self._name} reads no"
                    f" more than {window}",
                    "Start anew with a smaller task, or take a model with a larger window.",
                )
            limit = min(limit, window - len(prompt.ids))
        return Request(prompt.ids, limit, sampling.temperature, sampling.top_p, sampling.seed)

    async def close(self) -> None:
        generator, self._generator, self._dialect = self._generator, None, None
        if generator is not None:
            await asyncio.to_thread(generator.close)


class _Turn:
    """One turn while it comes, and its end."""

    def __init__(self, prompt: Prompt, parser: Parser, request: Request, start: float) -> None:
        self.prompt = prompt
        self.parser = parser
        self._request = request
        self._start = start
        self._tokens: list[int] = []
        self._first: float | None = None
        self._cached = self._dropped = 0
        self._mark()
        self.timed_out = False

    def _mark(self) -> None:
        """Begins to note, token by token, the characters of reasoning and whether it is open."""
        self._marked = len(self._tokens)
        self._reasoned = [(0, bool(self.parser.answer_now()))]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def rest(self) -> Request:
        """What to ask of the generator now."""
        ids, room = (*self._request.ids, *self._tokens), self._room(len(self._tokens))
        return replace(self._request, ids=ids, max_tokens=room)

    def _room(self, taken: int) -> int:
        return self._request.max_tokens - taken

    def take(self, token: int, cached: int) -> list[Event]:
        if self._first is None:
            self._first, self._cached = self.seconds, cached
        self._tokens.append(token)
        events = self.parser.feed(token)
        more = sum(len(event.text) for event in events if isinstance(event, ReasoningDelta))
        self._reasoned.append((self._reasoned[-1][0] + more, bool(self.parser.answer_now())))
        return events

    def answer_now(self, parser: Parser, dialect: Dialect, kept: int) -> bool:
        """Drops what follows the first `kept` characters of reasoning since the last mark, and ends
        it, with a fresh `parser`. False, and nothing is done, where none is open there or no room
        is left for an answer."""
        open_at = [n for n, (read, thinks) in enumerate(self._reasoned) if thinks and read <= kept]
        if not open_at:
            return False
        whole = self._tokens[: self._marked + open_at[-1]]
        for token in whole:
            parser.feed(token)
        ending = dialect.encode(parser.answer_now())
        if self._room(len(whole) + len(ending)) < 1:
            return False
        for token in ending:
            parser.feed(token)
        self._dropped += len(self._tokens) - len(whole)
        self._tokens, self.parser = [*whole, *ending], parser
        self._mark()
        return True

    def done(self, stop_ids: frozenset[int]) -> TurnDone:
        parsed = self.parser.parsed()
        message = AssistantMessage(parsed.text, parsed.reasoning, parsed.calls, tuple(self._tokens))
        usage = Usage(
            input_tokens=len(self._request.ids),
            output_tokens=len(self._tokens),
            reasoning_tokens=parsed.reasoning_tokens,
            cached_tokens=self._cached,
            abandoned_tokens=self._dropped,
        )
        limited = not self._tokens or self._tokens[-1] not in stop_ids
        finish: Literal["stop", "calls", "length", "cut"] = "calls" if parsed.calls else "stop"
        problem = parsed.problem
        if self.timed_out:
            finish, problem = "cut", malformed.cut_short(self.seconds)
        elif limited:
            finish = "length"
        if not problem and not parsed.calls:
            problem = malformed.problem_without_calls(message, usage, limited=limited)
        timings = {"seconds": self.seconds}
        if self._first is not None:
            timings["first_token_seconds"] = self._first
        return TurnDone(message, usage, finish, problem, timings)


def dialect_of(loaded: loading.Loaded) -> Dialect:
    """Harmony for gpt-oss and what was made of it, else the tokenizer's template. Raises SetupError
    where a harmony model has too small a vocabulary, ModelError where the template is of no use."""
    tokenizer = loaded.tokenizer
    if tokenizer is not None and not _is_harmony(tokenizer):
        return TemplateDialect(tokenizer, _stop_ids(loaded.model))
    dialect = HarmonyDialect()
    size = loaded.model.config.get_text_config(decoder=True).vocab_size
    if size <= max(dialect.stop_ids):
        raise SetupError(
            f"the model {loaded.weights.name} calls itself a gpt-oss, but its vocabulary has only"
            f" {size} tokens",
            "Take the weights as OpenAI published them, or a copy that kept the vocabulary.",
        )
    return dialect


def _is_harmony(tokenizer: Any) -> bool:
    return (
        "<|channel|>" in str(tokenizer.chat_template)
        and tokenizer.convert_tokens_to_ids("<|channel|>") == CHANNEL
    )


def _stop_ids(model: Any) -> frozenset[int]:
    found = model.generation_config.eos_token_id
    if found is None:
        return frozenset()
    return frozenset(found if isinstance(found, list) else [found])
