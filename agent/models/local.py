"""A model that runs in this process: any causal model that transformers can load.

gpt-oss speaks harmony, every other model its tokenizer's chat template. Heavy libraries are
imported when the model is prepared, not before.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from agent.conversation import Conversation, ToolSpec
from agent.models import loading
from agent.models.base import (
    GiveUp,
    Model,
    ModelInfo,
    ReasoningDelta,
    Sampling,
    TurnDone,
)
from agent.models.dialect import Dialect, Prompt
from agent.models.dialects import dialect_of
from agent.models.generation import Generator
from agent.models.grammar import Grammar, Grammars, inexpressible
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_grammar import HarmonyGrammars
from agent.models.room import room_for_caches
from agent.models.settings import ModelSettings
from agent.models.source import TokenSource
from agent.models.tag_grammar import TagGrammars
from agent.models.templates import TemplateDialect
from agent.models.token_model import TokenModel


def open_local(name_or_path: str, settings: ModelSettings) -> Model:
    """The model in a folder, or of that name in the Hugging Face cache; loaded when it is first
    needed."""
    return LocalModel(name_or_path, settings)


class LocalModel(TokenModel):
    """One model in this process. Several conversations share it; they take turns token by token."""

    def __init__(self, name: str, settings: ModelSettings) -> None:
        info = ModelInfo(name, "transformers", context_window=settings.context_window)
        super().__init__(info, settings)
        self._grammars: Grammars | None = None
        self._offloaded = 0

    async def prepare(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Loads the model unless it is loaded. Raises SetupError, shown to the user, where it is
        not here, cannot be run or does not fit."""
        if self._opened is not None:
            return
        say(f"loading the model {self.info.name}")
        await self._ready()
        if self._offloaded:
            say(f"{self._offloaded} parts of the model lie outside of the GPUs: it will be slow")

    async def _open(self) -> tuple[TokenSource, Dialect]:
        loaded = await asyncio.to_thread(loading.load, self.info.name, self._settings)
        model = loaded.model
        dialect = dialect_of(
            self.info.name, model.config, model.generation_config, loaded.tokenizer
        )
        self._offloaded = loaded.offloaded
        windows = (loaded.context_window, self._settings.context_window)
        self.info = replace(
            self.info,
            revision=loaded.weights.revision,
            quantisation=loaded.precision,
            context_window=min((w for w in windows if w), default=None),
        )
        if self._settings.grammar == "auto":
            self._grammars = _grammars(loaded, dialect)
        room = self._settings.cache_limit or room_for_caches(str(loaded.model.device))
        return Generator(loaded.model, dialect.stop_ids, room), dialect

    def _grammar(self, tools: Sequence[ToolSpec], prompt: Prompt, room: int) -> Grammar | None:
        return self._grammars.turn(tools, prompt, room) if self._grammars else None

    def remarks(self, tools: Sequence[ToolSpec]) -> Sequence[str]:
        """The tools whose arguments the grammar has to leave free."""
        if self._settings.grammar == "off":
            return ()
        return [
            f"the arguments of {name} are not held to their schema, as no grammar can say it: {why}"
            for name, why in inexpressible(tools).items()
        ]

    def branches(
        self,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        count: int,
        give_up: GiveUp = lambda _number, _text: "",
    ) -> AsyncGenerator[TurnDone, None]:
        """Turns with seeds counted up, after one reading of the prompt; each is given once it and
        those before it are done."""
        seeds = [None if sampling.seed is None else sampling.seed + n for n in range(count)]
        wanted = [replace(sampling, seed=seed) for seed in seeds]
        return self._branches(conversation, tools, wanted, give_up)

    async def _branches(
        self,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        wanted: Sequence[Sampling],
        give_up: GiveUp,
    ) -> AsyncGenerator[TurnDone, None]:
        source, dialect = await self._ready()
        if not isinstance(source, Generator):
            raise AssertionError("this model's tokens are made here")
        turns = [self._turn(dialect, conversation, tools, each) for each in wanted]
        dropped: set[int] = set()
        given = 0
        async with aclosing(source.several([turn.rest() for turn in turns], dropped)) as items:
            async for number, item in items:
                turn = turns[number]
                if number in dropped:
                    continue
                for event in self._take(turn, item):
                    if isinstance(event, ReasoningDelta):
                        turn.given_up = turn.given_up or give_up(number, event.text)
                if turn.given_up:
                    dropped.add(number)
                while given < len(turns) and (turns[given].full or given in dropped):
                    yield turns[given].end()
                    given += 1
                if turn.seconds > self._settings.turn_timeout:
                    break
        for turn in turns[given:]:
            turn.timed_out = not turn.full
            yield turn.end()


def _grammars(loaded: loading.Loaded, dialect: Dialect) -> Grammars | None:
    size = loaded.model.config.get_text_config(decoder=True).vocab_size
    if isinstance(dialect, TemplateDialect):
        return TagGrammars(dialect, loaded.tokenizer, size)
    return HarmonyGrammars(size) if isinstance(dialect, HarmonyDialect) else None
