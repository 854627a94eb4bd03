"""A conversation at a desk: turns asked of a model, its conversation made shorter where due."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from agent import trajectory
from agent.budget import Ledger, Limits, Plan
from agent.checkpoint import Work
from agent.compaction import Compactor
from agent.conversation import (
    AssistantMessage,
    Conversation,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.dialogue import Dialogue
from agent.models.base import (
    ContextOverflow,
    Event,
    Model,
    ModelError,
    ModelInfo,
    Sampling,
    TurnDone,
    Usage,
    conversation_text,
    estimate_tokens,
)
from agent.trajectory import Recorder

SHELL = ToolSpec("shell", "Runs a command.", {"type": "object", "properties": {}})
NOTES = "Files: a.py, add() is wrong.\nNext steps: mend it."
WORK = Work("1 of 2 tests fail", "-old\n+new\n")
OVERFLOW = ContextOverflow("too long", "do less")

Answer = AssistantMessage | TurnDone | ModelError


def tokens(conversation: Conversation) -> int:
    return sum(estimate_tokens(conversation_text([message])) for message in conversation)


class Clerk(Model):
    """Gives `answers` in their order, and remembers what it was asked. It counts four characters a
    token, and refuses more than `most`."""

    def __init__(
        self,
        *answers: Answer,
        window: int | None = None,
        most: int | None = None,
        counts: bool = True,
    ) -> None:
        self.info = ModelInfo("clerk", "test", context_window=window)
        self.answers = list(answers)
        self.asked: list[tuple[tuple[Message, ...], Sequence[ToolSpec], Sampling]] = []
        self._most = most
        self._counts = counts

    def count(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        return tokens(conversation) if self._counts else None

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        self.asked.append((tuple(conversation), tools, sampling))
        if self._most is not None and tokens(conversation) > self._most:
            raise OVERFLOW
        answer = self.answers.pop(0)
        if isinstance(answer, ModelError):
            raise answer
        if isinstance(answer, AssistantMessage):
            answer = TurnDone(answer, Usage(tokens(conversation), 50))
        yield answer


class Desk:
    """A conversation with a model, and what comes of its next turn."""

    def __init__(
        self, folder: Path, model: Clerk, messages: Sequence[Message], **plan: Any
    ) -> None:
        self.model = model
        self.log = folder / "t.jsonl"
        self.recorder = Recorder(self.log)
        self.ledger = Ledger(plan.pop("limits", Limits()), None)
        self.dialogue = Dialogue(self.recorder, messages)
        self.compactor = Compactor(model, [SHELL], Plan(**plan), self.ledger, self.recorder)

    async def turn(self) -> TurnDone:
        async def ask() -> TurnDone:
            events = self.model.generate(self.dialogue.messages, [SHELL], Sampling())
            done = [event async for event in events][-1]
            assert isinstance(done, TurnDone)
            return done

        return await self.compactor.turn(self.dialogue, ask, lambda: WORK)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in trajectory.read(self.log) if event["type"] == kind]


def grown(turns: int, *, result: str = "", text: str = "", reports: int = 1) -> list[Message]:
    """A conversation of so many turns, each with a call and its result."""
    made: list[Message] = [SystemMessage("You are."), UserMessage("Mend add.")]
    for number in range(turns):
        call = ToolCall(f"c{number}", "read_file", '{"path": "a.py"}')
        made += [AssistantMessage(text, calls=(call,)), ToolMessage(call.id, call.name, result)]
        if number < reports:
            made.append(UserMessage(f"Report {number}: 1 of 2 tests fail.", "reflection"))
    return made


DONE = AssistantMessage("Done.")
#: Turns whose texts nothing may cut, so that only notes help.
TALK = {"text": "I looked. " * 40}
