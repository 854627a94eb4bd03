"""How a conversation becomes a model's tokens, and its tokens a turn again.

A `Dialect` renders, its `Parser` reads one turn token by token. Whatever a model writes, a parser
never raises: what it cannot read is named in `Parsed.problem`, in words for the model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from agent.conversation import AssistantMessage, Conversation, ToolCall, ToolSpec
from agent.models.base import Event, MalformedKind

Effort = Literal["low", "medium", "high"] | None
#: What a broken character looks like, and how many tokens one may take until it is whole.
_BROKEN = "\ufffd"
_LONGEST_CHARACTER = 8


@dataclass(frozen=True)
class Prompt:
    """The tokens to go on from. `thinking`: they end inside the model's reasoning."""

    ids: tuple[int, ...]
    thinking: bool = False


@dataclass(frozen=True)
class Parsed:
    """A turn as it was read. `kind` names what is wrong with it, also where it can be used all the
    same. `reasoning_tokens` counts those of the reasoning, tags included."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    problem: str = ""
    reasoning_tokens: int = 0
    kind: MalformedKind | None = None


class Parser(Protocol):
    """Reads one turn."""

    def feed(self, token: int) -> list[Event]:
        """What the token adds that can be shown now."""

    def close(self) -> list[Event]:
        """What was held back, once no token will follow."""

    def answer_now(self) -> str:
        """What ends the reasoning that is open and lets the model answer; empty outside of any."""

    def parsed(self) -> Parsed:
        """The whole turn; to be asked for after `close`."""


class Dialect(ABC):
    """One model's way to write conversations.

    `stop_ids` are tokens that end a turn; `output_bound` is how many tokens a turn usually may
    have. `temperature` and `top_p` are what the model is meant to be sampled with; None leaves it
    to its configuration. `toolset` names the tools that models which speak it know best;
    `malformed_retries` is how often a malformed turn is worth another try.
    """

    stop_ids: frozenset[int]
    output_bound: int
    temperature: float | None = None
    top_p: float | None = None
    toolset: str = "generic"
    malformed_retries: int = 2

    @abstractmethod
    def prompt(
        self, conversation: Conversation, tools: Sequence[ToolSpec], effort: Effort
    ) -> Prompt:
        """The conversation as tokens, up to where the model's turn begins. Raises ModelError,
        shown to the user, where the model's template refuses it."""

    @abstractmethod
    def parser(
        self, conversation: Conversation, tools: Sequence[ToolSpec], prompt: Prompt
    ) -> Parser:
        """A parser for the turn that follows the prompt."""

    @abstractmethod
    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of a text in which the model's marks stand for themselves."""


class TextStream:
    """Tokens to text, piece by piece: a character that spans tokens comes when it is whole."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._start = 0
        self._read = 0

    def feed(self, token: int) -> str:
        self._ids.append(token)
        waiting = len(self._ids) - self._read
        now = self._decode(self._ids[self._start :])
        if now.endswith(_BROKEN) and waiting < _LONGEST_CHARACTER:
            return ""
        return self._take(now)

    def close(self) -> str:
        """What is left, a broken character at the end included."""
        return self._take(self._decode(self._ids[self._start :])) if self._ids else ""

    def _take(self, now: str) -> str:
        # The piece before stays in the window: decoders put spaces where they see a neighbour.
        before = self._decode(self._ids[self._start : self._read])
        self._start, self._read = self._read, len(self._ids)
        return now[len(before) :]


class CallIds:
    """Ids for new calls, unlike those in the conversation. Nine letters and digits: some templates
    refuse any other form."""

    def __init__(self, conversation: Conversation) -> None:
        self._taken: Collection[str] = {
            call.id
            for message in conversation
            if isinstance(message, AssistantMessage)
            for call in message.calls
        }
        self._last = len(self._taken)

    def next(self) -> str:
        self._last += 1
        while (made := f"call{self._last:05d}") in self._taken:
            self._last += 1
        return made
