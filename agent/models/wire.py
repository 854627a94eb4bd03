"""A conversation as the JSON body of OpenAI's chat interface.

Nothing here looks at a server's answer. What a server was found to accept is in `Dialect`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from agent.conversation import (
    AssistantMessage,
    Conversation,
    SystemMessage,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
    object_in,
)
from agent.models.base import Sampling
from agent.models.failures import output_room
from agent.models.meant import plain_arguments
from agent.models.plaintext import as_chat
from agent.models.servers import LimitField, ReasoningField

#: How servers name what a strict tool is held to, when they cannot.
_GRAMMAR = re.compile(r"\bstrict\b|grammar|structural|structured|json.?schema", re.IGNORECASE)


@dataclass
class Dialect:
    """What one server takes, as far as it is known; refusals teach it more.

    `limit_bound` is the most output tokens a request may ask for (None: as the user says).
    `strict_tools`: it holds a call to its tool's schema where asked to. `written_tools`: it offers
    no tool calls, so that tools are explained and calls written in the text (see `plaintext`).
    """

    reasoning: ReasoningField | None = None
    limit: LimitField = "max_tokens"
    stream_usage: bool = True
    echo_reasoning: bool = True
    limit_bound: int | None = None
    strict_tools: bool = False
    written_tools: bool = False

    def learn(self, said: str) -> bool:
        """Takes a refusal in the server's words to heart; whether another try makes sense.

        Only what is ours is given up: what the user asked for (temperature, seed ...) is not.
        """
        before = replace(self)
        room = output_room(said)
        if room is not None:
            self.limit_bound = room
        elif "stream_options" in said or "include_usage" in said:
            self.stream_usage = False
        elif self.strict_tools and _GRAMMAR.search(said):
            self.strict_tools = False
        elif "max_completion_tokens" in said and self.limit == "max_tokens":
            self.limit = "max_completion_tokens"
        elif "max_completion_tokens" in said:
            self.limit = "max_tokens"
        elif "reasoning" in said and "reasoning_effort" not in said:
            self.echo_reasoning = False
        return self != before


def request_body(
    model: str,
    conversation: Conversation,
    tools: Sequence[ToolSpec],
    sampling: Sampling,
    dialect: Dialect,
    *,
    streamed: bool = True,
) -> bytes:
    """The body of one chat request, UTF-8. What `sampling` leaves open is left out."""
    body: dict[str, Any] = {
        "model": model,
        "messages": messages(conversation, dialect, tools),
        "stream": streamed,
    }
    if dialect.stream_usage and streamed:
        body["stream_options"] = {"include_usage": True}
    if tools and not dialect.written_tools:
        body["tools"] = [tool(spec, strict=dialect.strict_tools) for spec in tools]
    for name, value in (
        (dialect.limit, limit_of(sampling, dialect)),
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("seed", sampling.seed),
        ("reasoning_effort", sampling.reasoning_effort),
    ):
        if value is not None:
            body[name] = value
    return encoded(body)


def limit_of(sampling: Sampling, dialect: Dialect) -> int | None:
    """The output tokens to ask for, None where nobody set a limit."""
    limit = sampling.max_output_tokens
    if dialect.limit_bound is None:
        return limit
    return min(limit or dialect.limit_bound, dialect.limit_bound)


def encoded(body: Mapping[str, Any]) -> bytes:
    """A request's body as compact JSON in UTF-8."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # Half surrogates (names of odd files, say) have no UTF-8 form; a server would refuse them.
    return text.encode("utf-8", "replace")


def tool(spec: ToolSpec, *, strict: bool = False) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": spec.name,
            "description": spec.description,
            "parameters": spec.parameters,
            **({"strict": True} if strict else {}),
        },
    }


def messages(
    conversation: Conversation, dialect: Dialect, tools: Sequence[ToolSpec] = ()
) -> list[dict[str, Any]]:
    """The messages of `conversation`, put so that no server's template stumbles.

    Reasoning goes back only for the answers since the user last spoke, as models are trained to
    see it. Users' messages that follow each other become one and empty answers are left out, since
    many templates insist on alternation. Every call gets a result. `tools` are explained where
    calls are written.
    """
    if dialect.written_tools:
        return _as_text(conversation, tools)
    written: list[dict[str, Any]] = []
    spoke = _last_word_of_user(conversation)
    waiting: dict[str, ToolCall] = {}
    for position, message in enumerate(conversation):
        if isinstance(message, ToolMessage):
            if waiting.pop(message.call_id, None):
                written.append(_result(message.call_id, message.text))
            continue
        written.extend(_result(call, "This call was not run.") for call in waiting)
        waiting = {}
        if isinstance(message, AssistantMessage):
            waiting = {call.id: call for call in message.calls}
            written.extend(_assistant(message, dialect, within_turn=position > spoke))
        elif isinstance(message, UserMessage) and written and written[-1]["role"] == "user":
            written[-1]["content"] += f"\n\n{message.text}"
        else:
            role = "system" if isinstance(message, SystemMessage) else "user"
            written.append({"role": role, "content": message.text})
    written.extend(_result(call, "This call was not run.") for call in waiting)
    return written


def _as_text(conversation: Conversation, tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for role, text in as_chat(conversation, tools):
        if written and written[-1]["role"] == role:
            written[-1]["content"] += f"\n\n{text}"
        elif text:
            written.append({"role": role, "content": text})
    return written


def _last_word_of_user(conversation: Conversation) -> int:
    """Where the current turn began. The harness's own reflections and notices are part of it."""
    for position in range(len(conversation) - 1, -1, -1):
        message = conversation[position]
        if isinstance(message, UserMessage) and message.origin in {"task", "guidance"}:
            return position
    return -1


def _assistant(
    message: AssistantMessage, dialect: Dialect, *, within_turn: bool
) -> Iterator[dict[str, Any]]:
    written: dict[str, Any] = {"role": "assistant", "content": message.text}
    if message.reasoning and within_turn and dialect.echo_reasoning and dialect.reasoning:
        written[dialect.reasoning] = message.reasoning
    if message.calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": sound_arguments(call.arguments)},
            }
            for call in message.calls
        ]
    if message.text or len(written) > 2:
        yield written


#: A conversation is written anew each turn, and its calls stay the same.
@lru_cache(maxsize=512)
def sound_arguments(arguments: str) -> str:
    """`arguments` as a JSON object: many servers parse them when they render the history, and fail
    on what the model got wrong. What it wrote stays readable under `unparsed`."""
    arguments = plain_arguments(arguments)
    if object_in(arguments) is not None:
        return arguments
    return json.dumps({"unparsed": arguments}, ensure_ascii=False)


def _result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}
