"""A conversation with a model: plain frozen messages, the same for every dialect.

A conversation is append-only: the solver adds messages and never rewrites one, so that a backend
which keeps token ids or a KV cache pays for the new messages only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tools.tool import ToolSpec


@dataclass(frozen=True)
class ToolCall:
    """One call as the model wrote it. `arguments` is the raw JSON text, not yet checked."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class SystemMessage:
    """`date` (ISO) is the day on which the work began, for models that were trained to be told: it
    stays with the conversation, so that a prompt is the same whenever it is rendered."""

    text: str
    date: str = ""


@dataclass(frozen=True)
class UserMessage:
    """What the harness or the user says to the model.

    `origin` says which: the task as given, a reflection made of a failing log, guidance that the
    user typed, a notice of the harness (a malformed turn, a budget nearly spent), the word that
    ends reasoning which was cut short, or where the work stands at the start of a new epoch.
    """

    text: str
    origin: Literal["task", "reflection", "guidance", "notice", "steering", "checkpoint"] = "task"


@dataclass(frozen=True)
class AssistantMessage:
    """A finished turn of the model: reasoning and text apart, calls in order.

    `token_ids` and `log_probabilities` are what a token-level backend sampled, else empty.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    token_ids: tuple[int, ...] = field(default=(), repr=False)
    log_probabilities: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class ToolMessage:
    """The result of the call `call_id`, as text for the model."""

    call_id: str
    name: str
    text: str


def object_in(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, as arguments have to be; None where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage
Conversation = Sequence[Message]

__all__ = [
    "AssistantMessage",
    "Conversation",
    "Message",
    "SystemMessage",
    "ToolCall",
    "ToolMessage",
    "ToolSpec",
    "UserMessage",
    "object_in",
]
