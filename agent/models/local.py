"""A model that runs in this process: any causal model that transformers can load.

gpt-oss speaks harmony, every other model its tokenizer's chat template. Heavy libraries are
imported when the model is prepared, not before.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.models import loading
from agent.models.base import Model, ModelInfo
from agent.models.dialect import Dialect
from agent.models.generation import Generator
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_turn import CHANNEL
from agent.models.settings import ModelSettings
from agent.models.source import TokenSource
from agent.models.templates import TemplateDialect
from agent.models.token_model import TokenModel
from sandbox.errors import SetupError


def open_local(name_or_path: str, settings: ModelSettings) -> Model:
    """The model in a folder, or of that name in the Hugging Face cache; loaded when it is first
    needed."""
    return LocalModel(name_or_path, settings)


class LocalModel(TokenModel):
    """One model in this process. Turns are computed one at a time."""

    def __init__(self, name: str, settings: ModelSettings) -> None:
        info = ModelInfo(name, "transformers", context_window=settings.context_window)
        super().__init__(info, settings)

    async def prepare(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Loads the model unless it is loaded. Raises SetupError, shown to the user, where it is
        not here, cannot be run or does not fit."""
        if self._opened is None:
            say(f"loading the model {self.info.name}")
        await self._ready()

    async def _open(self) -> tuple[TokenSource, Dialect]:
        loaded = await asyncio.to_thread(loading.load, self.info.name)
        dialect = dialect_of(loaded)
        windows = (loaded.context_window, self._settings.context_window)
        self.info = replace(
            self.info,
            revision=loaded.weights.revision,
            quantisation=loaded.precision,
            context_window=min((w for w in windows if w), default=None),
        )
        return Generator(loaded.model, dialect.stop_ids), dialect


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
