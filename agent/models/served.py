"""A model at a server, asked in the way that serves it best.

gpt-oss is asked in its own tokens wherever the server takes them, everything else by chat
completions. Whether a model is a gpt-oss the server's tokenizer tells.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from agent.conversation import Conversation, ToolSpec
from agent.models.base import Event, Model, ModelError, Sampling, ServerLoad
from agent.models.harmony_turn import CHANNEL, START
from agent.models.openai import OpenAIModel
from agent.models.probe import QUICK, optional
from agent.models.settings import ModelSettings
from agent.models.transport import Transport

#: A text with marks of harmony, and its tokens in gpt-oss's vocabulary and in no other.
_TEXT, _IDS = "<|start|>assistant<|channel|>", [START, 173781, CHANNEL]
#: The first release of vLLM that gives token ids.
_VLLM_WITH_IDS = (0, 10, 2)
_COST = (
    "its turns go through the server's own parser, which loses calls and reasoning now and then;"
    " with vLLM or llama.cpp it is asked in its own tokens"
)


class ServedModel(Model):
    """What `chat` is, or the same model in raw tokens; `settings.protocol` says which is wanted."""

    def __init__(self, chat: OpenAIModel, settings: ModelSettings) -> None:
        self._chat = chat
        self._settings = settings
        self._choosing = asyncio.Lock()
        self._chosen: Model | None = None
        self._use(chat)

    def _use(self, model: Model) -> None:
        self._model = model
        self.info = model.info
        self.output_bound = model.output_bound
        self.toolset = model.toolset
        self.malformed_retries = model.malformed_retries
        self.most_at_once = self._chat.most_at_once

    async def prepare(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Asks the server what it is, and chooses. Raises ModelError when nothing answers at its
        address, or where raw tokens are wanted and cannot be had."""
        await self._ready(say)

    async def _ready(self, say: Callable[[str], None] = lambda _: None) -> Model:
        async with self._choosing:
            if self._chosen is None:
                await self._chat.prepare(say)
                self._chosen = await self._choose(say)
                self._use(self._chosen)
            return self._chosen

    async def _choose(self, say: Callable[[str], None]) -> Model:
        info, wanted = self._chat.info, self._settings.protocol
        if not await speaks_harmony(self._chat.transport, info.server, info.name):
            if wanted == "raw":
                raise ModelError(
                    f"{self._chat.transport.server} takes no raw tokens for {info.name}: only vLLM"
                    " and llama.cpp do, and only for a gpt-oss",
                    'Leave protocol away, or set it to "auto" or "chat".',
                )
            if wanted == "auto" and is_gpt_oss(info.name):
                say(f"{info.name} is asked by chat completions: {_COST}")
            return self._chat
        if info.server == "vllm" and _release(info.server_version) < _VLLM_WITH_IDS:
            say("this vLLM gives no token ids: they are made from its text; 0.10.2 and later do")
        from agent.models.raw import RawModel  # noqa: PLC0415

        model = RawModel(info, self._chat.transport, self._settings)
        await model.prepare()
        return model

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        model = await self._ready()
        async with aclosing(model.generate(conversation, tools, sampling)) as events:
            async for event in events:
                yield event

    async def load(self) -> ServerLoad | None:
        return await self._chat.load()

    def count(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        return self._model.count(conversation, tools)

    def remarks(self, tools: Sequence[ToolSpec]) -> Sequence[str]:
        return self._model.remarks(tools)

    def answer(
        self,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        kept: int,
    ) -> AsyncGenerator[Event, None] | None:
        return self._model.answer(conversation, tools, sampling, kept)

    async def close(self) -> None:
        await self._model.close()
        await self._chat.close()


async def speaks_harmony(transport: Transport, server: str, model: str) -> bool:
    """Whether the server takes raw tokens and its tokenizer for `model` is gpt-oss's. `server` is
    its kind. Raises Unreachable."""
    asked: dict[str, object]
    if server == "vllm":
        asked = {"model": model, "prompt": _TEXT, "add_special_tokens": False}
    elif server == "llamacpp":
        asked = {"model": model, "content": _TEXT, "add_special": False, "parse_special": True}
    else:
        return False
    endpoint = transport.endpoint
    address = f"{endpoint.root}/tokenize{endpoint.query}"
    answer = await optional(transport.post_json(address, asked, QUICK))
    return isinstance(answer, dict) and answer.get("tokens") == _IDS


def is_gpt_oss(name: str) -> bool:
    """Whether a model is one by its name."""
    return re.search(r"gpt[-_.]?oss", name, re.IGNORECASE) is not None


def _release(version: str) -> tuple[int, ...]:
    """The first three numbers of a version; what has none counts as new."""
    numbers = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(n or 0) for n in numbers.groups()) if numbers else (1,)
