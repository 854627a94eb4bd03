"""The embedded model: SmolLM2-135M on the CPU, for a first look and for testing the harness.

It is too small to write a repair. So it does what it can: it reads the code that the failing tests
ran, and ranks small edits of it by its own probability; the harness tries them, and the tests
decide. It acts through the same tools as any model (`read_file`, then one `edit_file` a candidate),
and knows nothing but the conversation.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

from agent.conversation import AssistantMessage, Conversation, ToolCall, ToolSpec
from agent.models.base import Event, Model, ModelInfo, Price, Sampling, TextDelta, TurnDone, Usage
from agent.models.briefing import Briefing
from agent.models.edit_search import EditSearch, Found, Parts
from agent.models.edits import edit_arguments
from agent.models.ranking import Candidate
from agent.models.settings import ModelSettings
from agent.models.vocabulary import Vocabulary
from agent.models.weights import NAME, QUANTISATION, load_embedded

_LAST_LINE = 5_000


class EmbeddedModel(Model):
    """See the module's text. Loads in about a second, once its converted copy is in the cache."""

    default_candidates = 1000

    def __init__(self) -> None:
        self.info = ModelInfo(
            name="embedded",
            backend="transformers",
            revision=NAME,
            quantisation=QUANTISATION,
            context_window=None,
            price=Price(0.0, 0.0),
        )
        self._parts: Parts | None = None

    async def prepare(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Loads the weights. Raises SetupError or ModelError, shown to the user."""
        if self._parts is None:
            say("loading the embedded model")
            loop = asyncio.get_running_loop()

            def tell(text: str) -> None:
                loop.call_soon_threadsafe(say, text)

            self._parts = await asyncio.to_thread(_load, tell)

    async def _ready(self) -> Parts:
        await self.prepare()
        if self._parts is None:
            raise AssertionError("a prepared model has its parts")
        return self._parts

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        """The most promising turn."""
        async with aclosing(self.candidates(conversation, tools, sampling, 1)) as turns:
            async for done in turns:
                if done.message.text:
                    yield TextDelta(done.message.text)
                yield done
                return
        text = "I found no edit worth a try."
        yield TextDelta(text)
        yield TurnDone(AssistantMessage(text), Usage())

    async def candidates(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling, count: int
    ) -> AsyncGenerator[TurnDone, None]:
        """One turn that reads the suspect files; once they are read, single edits by rank."""
        parts = await self._ready()
        briefing = Briefing.of(conversation)
        if briefing.unread:
            yield TurnDone(_reading(briefing.unread), Usage(), "calls")
            return
        known = briefing.files
        search = EditSearch(parts, briefing, sampling)
        number = 0
        async with aclosing(_in_thread(search)) as steps:
            async for found in steps:
                number += 1
                message = _editing(number, found.candidate, known)
                yield TurnDone(message, Usage(found.tokens, 0), "calls")
                if number == count:
                    return

    async def close(self) -> None:
        self._parts = None


def _load(say: Callable[[str], None]) -> Parts:
    model, tokenizer = load_embedded(say)
    return Parts(model, tokenizer, Vocabulary(tokenizer))


def open_embedded(settings: ModelSettings) -> EmbeddedModel:
    """The embedded model, not yet loaded; no setting applies to it."""
    return EmbeddedModel()


def _reading(wanted: Sequence[tuple[str, int]]) -> AssistantMessage:
    calls = [
        ToolCall(
            f"read_{number}",
            "read_file",
            json.dumps({"path": path, "start_line": line, "end_line": _LAST_LINE}),
        )
        for number, (path, line) in enumerate(wanted, 1)
    ]
    return AssistantMessage("I read the code that the failing tests ran.", calls=tuple(calls))


def _editing(number: int, candidate: Candidate, files: Mapping[str, str]) -> AssistantMessage:
    arguments = edit_arguments(candidate.path, files[candidate.path], candidate.edit)
    return AssistantMessage(calls=(ToolCall(f"edit_{number}", "edit_file", arguments),))


async def _in_thread(search: EditSearch) -> AsyncGenerator[Found, None]:
    """What a search finds, each step in a worker thread: the event loop has containers to keep
    alive. Closing it stops the search within a second."""
    steps = search.found()
    end = object()
    try:
        while True:
            found = await asyncio.to_thread(next, steps, end)
            if not isinstance(found, Found):
                return
            yield found
    finally:
        search.stop()
