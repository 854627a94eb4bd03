"""One turn of a conversation as it is asked for, and what it is known to cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from agent.conversation import AssistantMessage, Conversation, ToolSpec
from agent.models.assembly import Assembly
from agent.models.base import Sampling, conversation_text, estimate_tokens
from agent.models.failures import Transient
from agent.models.wire import tool

#: After so many answers that the server could not read the next one is sampled cooler, by this.
_COOLED = 2
_COOLER = 0.6


@dataclass
class Turn:
    """A turn through all its attempts. `abandoned` counts tokens of answers that were lost.

    `whole`: it is asked for in one piece, since a stream ended before it had begun. A server that
    fails once it has promised a stream cannot say why in it; without one it does.
    """

    conversation: Conversation
    tools: Sequence[ToolSpec]
    sampling: Sampling
    assembly: Assembly | None = None
    attempts: int = 0
    unparsed: int = 0
    whole: bool = False
    abandoned: int = 0

    @cached_property
    def prompt_estimate(self) -> int:
        tools = "".join(str(tool(spec)) for spec in self.tools)
        return estimate_tokens(conversation_text(self.conversation) + tools)

    @cached_property
    def call_ids(self) -> frozenset[str]:
        """Ids of calls that the conversation already holds."""
        return frozenset(
            call.id
            for message in self.conversation
            if isinstance(message, AssistantMessage)
            for call in message.calls
        )

    def abandon(self, failure: Transient) -> None:
        """Counts what the failed attempt cost, and sees to it that the next one differs."""
        self.attempts += 1
        output = self.assembly.characters if self.assembly else 0
        if output or failure.kind == "unparsed":
            self.abandoned += self.prompt_estimate + (output + 3) // 4
        if failure.kind == "unparsed":
            self.unparsed += 1
            if self.sampling.seed is not None:
                self.sampling = replace(self.sampling, seed=self.sampling.seed + 1)
            if self.unparsed == _COOLED:
                usual = 1.0 if self.sampling.temperature is None else self.sampling.temperature
                self.sampling = replace(self.sampling, temperature=usual * _COOLER)


class Memory:
    """What the server counted for an earlier prompt, to foretell the size of one that goes on."""

    def __init__(self, conversation: Conversation = (), tokens: int = 0) -> None:
        self._length = len(conversation)
        self._last = conversation[-1] if conversation else None
        self._tokens = tokens

    def expect(self, turn: Turn) -> int:
        """Tokens of the turn's prompt, near enough to see that it does not fit."""
        conversation, length = turn.conversation, self._length
        if not length or len(conversation) < length or conversation[length - 1] != self._last:
            return turn.prompt_estimate
        return self._tokens + estimate_tokens(conversation_text(conversation[length:]))
