"""What a server offers beside chat: structured output, raw tokens, metrics."""

import json
from collections.abc import Mapping
from typing import Any

from agent.models.base import ModelError
from agent.models.doctor.findings import Finding
from agent.models.failures import Refused, Transient, UnknownModel
from agent.models.metrics import CACHE, RUNNING, WAITING, read_metrics
from agent.models.served import is_gpt_oss, speaks_harmony
from agent.models.stream import Stalled
from agent.models.transport import Transport

_SECONDS = 60.0
_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "green"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
#: Token ids that every vocabulary has.
_IDS = [1000, 1001, 1002]
#: Metrics that say how a server does, and what they are called here.
_TOLD = {
    **dict.fromkeys(CACHE, "KV cache filled"),
    **dict.fromkeys(RUNNING, "running"),
    **dict.fromkeys(WAITING, "waiting"),
}
_QUERIES, _HITS = "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"


async def prompt_tokens(transport: Transport, body: bytes) -> int:
    """Tokens of the prompt of a chat request that is not streamed; 0 where nobody counts."""
    counted = await _attempt(transport, transport.endpoint.url("chat/completions"), body)
    tokens = _at(counted, "usage", "prompt_tokens")
    return tokens if isinstance(tokens, int) else 0


async def structured_output(transport: Transport, model: str, room: int) -> Finding:
    """Asks in plain words for what the schema does not allow, in `room` tokens."""
    form = {"name": "colour", "strict": True, "schema": _SCHEMA}
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Name the colour of the sky, in a sentence."}],
        "response_format": {"type": "json_schema", "json_schema": form},
        "max_tokens": room,
    }
    name = "structured output"
    try:
        answer = await transport.post_json(
            transport.endpoint.url("chat/completions"), body, _SECONDS
        )
    except (Refused, UnknownModel):
        return Finding(name, "note", "refused by the server")
    text = _at(answer, "choices", 0, "message", "content")
    try:
        held = json.loads(text or "") in ({"colour": "red"}, {"colour": "green"})
    except (ValueError, TypeError):
        held = False
    if held:
        return Finding(name, "good", "an answer kept to its schema")
    if not text:
        return Finding(name, "untold", f"no answer came within {room} tokens")
    return Finding(name, "note", "taken, and not held to")


async def raw_tokens(transport: Transport, server: str, model: str) -> Finding:
    """Whether token ids may be sent, and come back; and whether they are gpt-oss's."""
    if await _returns_ids_openai(transport, model):
        way = "/v1/completions takes token ids and returns them"
    elif await _returns_ids_llamacpp(transport):
        way = "/completion takes token ids and returns them"
    else:
        way = ""
    harmony = await speaks_harmony(transport, server, model)
    if is_gpt_oss(model) and not (way and harmony):
        return Finding(
            "raw tokens",
            "note",
            "taken, but not with gpt-oss's vocabulary" if way else "not offered",
            "gpt-oss works by chat only, with tools that are not its own: in the one published"
            " comparison 26% instead of 60% of SWE-bench Verified (20b)",
            _served(model),
        )
    if not way:
        return Finding("raw tokens", "untold", "not offered")
    used = "; gpt-oss is asked in its own" if harmony else ""
    return Finding("raw tokens", "good", f"{way}{used}")


def _served(model: str) -> str:
    """How a gpt-oss is served so that its tokens can be had."""
    name = f"gpt-oss-{'120b' if '120b' in model.lower() else '20b'}"
    return (
        f"Serve it with vLLM (`vllm serve openai/{name}`, then -m vllm:openai/{name}) or, on a Mac"
        f" too, with llama.cpp (`llama-server -hf ggml-org/{name}-GGUF -c 32768`, then"
        f" -m llamacpp:{name})."
    )


async def _returns_ids_openai(transport: Transport, model: str) -> bool:
    body = {"model": model, "prompt": _IDS, "max_tokens": 1, "return_token_ids": True}
    answer = await _attempt(transport, transport.endpoint.url("completions"), body)
    return isinstance(_at(answer, "choices", 0, "token_ids"), list)


async def _returns_ids_llamacpp(transport: Transport) -> bool:
    body = {"prompt": _IDS, "n_predict": 1, "return_tokens": True}
    answer = await _attempt(transport, f"{transport.endpoint.root}/completion", body)
    return isinstance(_at(answer, "tokens"), list)


async def _attempt(transport: Transport, address: str, body: object) -> Any:
    try:
        return await transport.post_json(address, body, _SECONDS)
    except (ModelError, Transient, Refused, UnknownModel, Stalled):
        # Whatever a server says to a route that it lacks, it lacks it.
        return None


async def metrics(transport: Transport) -> Finding:
    """How full the server is, where it tells."""
    values = await _metrics(transport)
    told = [
        f"{_TOLD[name]} {value:.0%}" if "filled" in _TOLD[name] else f"{_TOLD[name]} {value:.0f}"
        for name, value in values.items()
        if name in _TOLD
    ]
    if values.get(_QUERIES):
        told.append(
            f"prefix cache {values.get(_HITS, 0) / values[_QUERIES]:.0%} hit since its start"
        )
    if not told:
        return Finding("metrics", "untold", "none at /metrics")
    return Finding("metrics", "good", ", ".join(dict.fromkeys(told)))


async def prefix_hits(transport: Transport) -> float | None:
    """Tokens that vLLM found in its prefix cache so far, None where that is not told."""
    return (await _metrics(transport)).get(_HITS)


async def _metrics(transport: Transport) -> Mapping[str, float]:
    read = await read_metrics(transport, _SECONDS)
    return {name: sum(values) for name, values in read.items()}


def _at(data: object, *path: str | int) -> Any:
    """What stands at that place in some JSON, None where nothing does."""
    for step in path:
        if isinstance(step, int):
            data = data[step] if isinstance(data, list) and len(data) > step else None
        else:
            data = data.get(step) if isinstance(data, dict) else None
    return data
