"""Ollama's own chat interface, the one that lets a request say how large the context is.

On `/v1` nothing can: a model is loaded with the server's default (4,096 tokens on many machines), a
longer prompt is cut without a word, and a model that was loaded larger by hand is loaded anew with
that default by the next request. `/api/chat` takes `num_ctx`, changes nothing that outlasts the
model in memory, and takes arguments as objects, so that nothing is escaped twice.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.conversation import Conversation, ToolSpec
from agent.models.base import ModelError, Sampling
from agent.models.failures import Refused, Transient, UnknownModel
from agent.models.probe import LOADING, Facts, ollama_loaded, positive
from agent.models.settings import LEAST_WINDOW, USEFUL_WINDOW
from agent.models.stream import Stalled
from agent.models.transport import Transport
from agent.models.wire import Dialect, encoded, limit_of, messages, tool

#: A year in nanoseconds; a number beyond fits into no float.
_LONGEST = 1 << 55


def wanted_window(facts: Facts, asked: int | None) -> int | None:
    """How many tokens of context to ask for: as the user says, else as the server or the model's
    own file does, but no less than a task needs, and never more than the model has."""
    most, loaded = facts.model_window, facts.context_window
    if asked is not None:
        return min(asked, most or asked)
    if loaded is None or most is None or facts.window_is_chosen:
        return loaded
    return max(loaded, min(most, USEFUL_WINDOW))


async def settle_window(
    transport: Transport, model: str, facts: Facts, asked: int | None, say: Callable[[str], None]
) -> int | None:
    """Loads the model with the window that is wanted, or with less where that does not load and
    nobody asked for it; returns the one it has then."""
    wanted, loaded = wanted_window(facts, asked), facts.context_window
    if wanted is None or wanted == loaded:
        return wanted
    from_now = "" if loaded is None else f" instead of {loaded:,}"
    for window in _windows(wanted, loaded, asked):
        say(f"Ollama loads {model} with a context of {window:,} tokens{from_now}")
        body = {"model": model, "options": {"num_ctx": window}}
        try:
            await transport.post_json(f"{transport.endpoint.root}/api/generate", body, LOADING)
        except (ModelError, Transient, Refused, UnknownModel, Stalled) as problem:
            say(f"it does not load so ({problem})")
        else:
            return positive(await ollama_loaded(transport, model), "context_length") or window
    say("the context stays as it is")
    return loaded


def _windows(wanted: int, loaded: int | None, asked: int | None) -> Sequence[int]:
    """The windows to try, one after the other."""
    if asked is not None:
        return [wanted]
    halves = [wanted // 2, wanted // 4]
    return [wanted, *(half for half in halves if half >= LEAST_WINDOW and half > (loaded or 0))]


def request_body(
    model: str,
    conversation: Conversation,
    tools: Sequence[ToolSpec],
    sampling: Sampling,
    dialect: Dialect,
    window: int,
) -> bytes:
    """The body of one streamed request to `/api/chat`, UTF-8."""
    options: dict[str, Any] = {"num_ctx": window}
    for name, value in (
        ("num_predict", limit_of(sampling, dialect)),
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("seed", sampling.seed),
    ):
        if value is not None:
            options[name] = value
    body: dict[str, Any] = {
        "model": model,
        "messages": [_own(each) for each in messages(conversation, dialect, tools)],
        "stream": True,
        "options": options,
    }
    if tools and not dialect.written_tools:
        body["tools"] = [tool(spec) for spec in tools]
    if sampling.reasoning_effort is not None:
        body["think"] = sampling.reasoning_effort
    return encoded(body)


def _own(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of OpenAI's interface as Ollama's own has it."""
    made = {**message}
    if "reasoning" in made:
        made["thinking"] = made.pop("reasoning")
    if "tool_calls" in made:
        made["tool_calls"] = [
            {
                "id": call["id"],
                "function": {
                    "name": call["function"]["name"],
                    "arguments": json.loads(call["function"]["arguments"]),
                },
            }
            for call in made["tool_calls"]
        ]
    return made


def as_chunk(line: Mapping[str, Any]) -> dict[str, Any]:
    """One line of an answer, as a chunk of OpenAI's interface."""
    message = line.get("message")
    message = message if isinstance(message, dict) else {}
    delta = {
        "content": message.get("content"),
        "reasoning": message.get("thinking"),
        "tool_calls": message.get("tool_calls"),
    }
    choice: dict[str, Any] = {"index": 0, "delta": delta}
    chunk: dict[str, Any] = {"choices": [choice]}
    if line.get("done") is True:
        choice["finish_reason"] = line.get("done_reason") or "stop"
        chunk["usage"] = {
            "prompt_tokens": line.get("prompt_eval_count"),
            "completion_tokens": line.get("eval_count"),
        }
        chunk["timings"] = {
            ours: min(line[theirs], _LONGEST) / 1e6
            for theirs, ours in (
                ("prompt_eval_duration", "prompt_ms"),
                ("eval_duration", "predicted_ms"),
            )
            if isinstance(line.get(theirs), int | float)
        }
    return chunk
