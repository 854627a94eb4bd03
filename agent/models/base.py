"""What every model backend is: a conversation in, typed events out.

`Model.generate` streams one turn. `Model.candidates` streams several alternative turns for the same
state, most promising first; the default samples `generate` again. Errors that end the attempt are
`ModelError`s and reach the user as they are.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Literal

from agent.conversation import AssistantMessage, Conversation, Message, ToolCall, ToolSpec
from sandbox.errors import GreenroomError


class ModelError(GreenroomError):
    """A model cannot answer: server down, refused key, unknown model, context overflow."""


class Unanswered(ModelError):
    """No answer can be had now, through no fault of the request: another try later may get one."""


class ContextOverflow(ModelError):
    """The conversation no longer fits the model's window; the solver may compact and retry."""


@dataclass(frozen=True)
class Sampling:
    """How a turn is sampled. None leaves the choice to the backend or the server."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    seed: int | None = None
    reasoning_effort: Literal["low", "medium", "high"] | None = None


@dataclass(frozen=True)
class Usage:
    """Tokens of one turn. `estimated` is true when the backend reported nothing and we counted
    characters (4 a token) instead, so that budgets hold all the same.

    `reasoning_tokens` are part of `output_tokens`, `cached_tokens` part of `input_tokens`.
    `abandoned_tokens` were spent, in and out, on answers that broke off and were asked for again;
    they are estimated, part of no other count, and cost as much as the rest.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    abandoned_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """All that the turn spent, what was abandoned included."""
        return self.input_tokens + self.output_tokens + self.abandoned_tokens


@dataclass(frozen=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True)
class TextDelta:
    text: str


@dataclass(frozen=True)
class CallStarted:
    """The model began to write a call of the tool `name`; shown live, the arguments follow."""

    index: int
    name: str


@dataclass(frozen=True)
class Retrying:
    """The backend tries again after `seconds` because of `reason`; shown to the user.

    The turn starts over: deltas given before this event belong to an answer that was lost.
    """

    reason: str
    seconds: float
    attempt: int


#: Whose doing a cut is: repetition, the budget of a turn or of the attempt, a pattern or a judge of
#: the user's.
CutReason = Literal["loop", "limit", "total", "pattern", "judge"]


@dataclass(frozen=True)
class ReasoningCut:
    """Reasoning was cut short; the turn goes on after this event, or ends.

    `detail` is the reason in words. `tokens` were thought, `kept` stay, and `saved` is how many the
    turn could still have taken at most (None: not known); all are estimates. `way` says how it went
    on: the backend closed the reasoning and opened the answer (`closed`), the model was asked again
    with `thought` and `steering` as further messages (`asked`), or the turn was given up (`ended`).
    """

    reason: CutReason
    detail: str
    tokens: int
    kept: int
    saved: int | None
    way: Literal["closed", "asked", "ended"]
    thought: AssistantMessage | None = None
    steering: str = ""


#: Why a turn cannot be used: its header names no channel or no tool that there is, its arguments
#: are no JSON object, it answers and calls at once, calls several times where one is right, is
#: empty, neither answers nor calls, could not be read by the server, or was cut off.
MalformedKind = Literal[
    "channel", "tool", "arguments", "both", "several", "empty", "neither", "unparsed", "cut"
]


@dataclass(frozen=True)
class Malformed:
    """A turn that could not be used and is asked for again from the same prompt.

    The turn starts over: deltas before this event belong to `message`, which enters no
    conversation. `usage` is what it cost, and in no other count; `attempt` counts from 1.
    """

    kind: MalformedKind
    problem: str
    message: AssistantMessage
    usage: Usage
    attempt: int


@dataclass(frozen=True)
class TurnDone:
    """Always the last event of a turn that ended without an error.

    `finish` is why it ended: the model stopped, it called tools, the output limit was reached, or
    the backend cut it (a time limit, a monitor). `problem` is set when the turn is malformed (an
    empty answer, calls that could not be parsed) and says so in words meant for the model; `kind`
    names what is wrong where that is known, also with calls that can be made all the same.
    `timings` are in seconds: `first_token_seconds`, `seconds`, and what the backend adds.
    `before` are messages of the same turn that stand before `message` in the conversation, `cuts`
    say where its reasoning was cut short, and `malformed` are the tries before it.
    """

    message: AssistantMessage
    usage: Usage
    finish: Literal["stop", "calls", "length", "cut"] = "stop"
    problem: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    before: tuple[Message, ...] = ()
    cuts: tuple[ReasoningCut, ...] = ()
    kind: MalformedKind | None = None
    malformed: tuple[Malformed, ...] = ()


Event = ReasoningDelta | TextDelta | CallStarted | Retrying | ReasoningCut | Malformed | TurnDone


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float


@dataclass(frozen=True)
class ModelInfo:
    """What the model was, for the trajectory and for the user.

    `protocol` is how a server is asked: `chat` completions or `raw` tokens. `address` is set for
    servers; `local` is false when it is not on this machine, and the user is shown the address.
    `real` is false for scripts, and every output then says so.
    """

    name: str
    backend: str
    address: str = ""
    local: bool = True
    real: bool = True
    revision: str = ""
    quantisation: str = ""
    server: str = ""
    server_version: str = ""
    protocol: str = ""
    context_window: int | None = None
    price: Price | None = None

    def as_dict(self) -> dict[str, object]:
        """Plain data for the trajectory; never holds a key."""
        return asdict(self)


@dataclass(frozen=True)
class ServerLoad:
    """How full a server is: the share of its KV cache in use (of the fullest engine, where it has
    several), requests that it works on, and requests that wait. None where it does not tell."""

    cache: float | None = None
    running: int | None = None
    waiting: int | None = None


#: Reads on in the reasoning of the candidate of that number: why to give it up, empty for going on.
GiveUp = Callable[[int, str], str]


class Model(ABC):
    """One backend, bound to one model. Not shared between event loops."""

    info: ModelInfo

    #: How many candidates a turn the solver asks for when the user did not say; 1 is a plain turn.
    default_candidates: int = 1

    #: Whether its reasoning is watched; what was recorded has been.
    watched: bool = True

    #: The toolset that it is best served with, known once it is prepared.
    toolset: str = "generic"

    #: How often a malformed turn is asked for again when the user did not say.
    malformed_retries: int = 2

    #: How many turns it can usefully be asked for at a time.
    most_at_once: int = 1

    #: The most tokens that a turn may have when the user set no limit, where that is known.
    output_bound: int | None = None

    async def prepare(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Makes the model ready and completes `info`: loads weights, or asks the server what it is.
        `say` is told, in the event loop, what takes long.

        Optional before `generate`, which does what it still needs. Raises `ModelError`, shown to
        the user, when nothing answers or nothing can be loaded.
        """

    @abstractmethod
    def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        """Streams one turn, ending with `TurnDone`.

        Closing the iterator aborts the turn at the backend. Raises `ModelError` when no turn can
        be had after the backend's own retries; the user sees its text.
        """

    def remarks(self, tools: Sequence[ToolSpec]) -> Sequence[str]:
        """What the user should know of these tools with this model, once it is prepared."""
        return ()

    def for_attempt(self, task: str) -> "Model":
        """The model for one attempt at the task of that name, beside others that share it: this
        one itself, where nothing in it belongs to an attempt. The caller does not close it. Raises
        ModelError where there is none for that task."""
        return self

    def resumed(self, answers: int) -> None:
        """Tells, before the first turn, how many answers an earlier process had in this attempt.
        What was recorded or written beforehand goes on after them."""

    async def load(self) -> ServerLoad | None:
        """How full its server is now; None, the default, where that is not told."""
        return None

    def count(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        """Tokens of the prompt that `generate` would make of these, exactly. None, the default,
        where that cannot be told here and now. Raises ModelError as `generate` does."""
        return None

    def answer(
        self,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        kept: int,
    ) -> AsyncGenerator[Event, None] | None:
        """Goes on with the turn that `generate` (or this) streamed last for the same arguments and
        that was closed amid its reasoning: of that, `kept` characters stay, it is closed, and the
        answer opened. The `TurnDone` is that of the whole turn.

        None, the default, where the backend cannot: the model is then asked again.
        """
        return None

    def branches(
        self,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        count: int,
        give_up: GiveUp = lambda _number, _text: "",
    ) -> AsyncGenerator[TurnDone, None] | None:
        """So many samples, computed side by side, in order. `give_up` hears what each one thinks.

        None, the default, where the backend computes one turn at a time.
        """
        return None

    @property
    def ranks_candidates(self) -> bool:
        """Whether `candidates` is a way of its own, rather than so many samples."""
        return type(self).candidates is not Model.candidates

    async def candidates(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling, count: int
    ) -> AsyncGenerator[TurnDone, None]:
        """Up to `count` alternative turns from the same state, most promising first.

        The default takes `branches`, or samples `generate` with seeds counted up; a backend that
        can rank alternatives does better. May yield fewer.
        """
        branches = self.branches(conversation, tools, sampling, count)
        if branches is not None:
            async with aclosing(branches) as turns:
                async for done in turns:
                    yield done
            return
        for number in range(count):
            seed = None if sampling.seed is None else sampling.seed + number
            varied = Sampling(**{**asdict(sampling), "seed": seed})
            async for event in self.generate(conversation, tools, varied):
                if isinstance(event, TurnDone):
                    yield event

    async def close(self) -> None:
        """Frees what the backend holds. Safe to call twice."""


def estimate_tokens(text: str) -> int:
    """Tokens in `text` where no tokenizer is at hand: one for four characters, rounded up."""
    return (len(text) + 3) // 4


def conversation_text(conversation: Conversation) -> str:
    """All text of a conversation, for estimates."""
    parts: list[str] = []
    for message in conversation:
        parts.append(message.text)
        if isinstance(message, AssistantMessage):
            parts.append(message.reasoning)
            parts.extend(call.name + call.arguments for call in message.calls)
    return "\n".join(parts)


__all__ = [
    "AssistantMessage",
    "CallStarted",
    "ContextOverflow",
    "CutReason",
    "Event",
    "Malformed",
    "MalformedKind",
    "Model",
    "ModelError",
    "ModelInfo",
    "Price",
    "ReasoningCut",
    "ReasoningDelta",
    "Retrying",
    "Sampling",
    "ServerLoad",
    "TextDelta",
    "ToolCall",
    "TurnDone",
    "Unanswered",
    "Usage",
    "conversation_text",
    "estimate_tokens",
]
