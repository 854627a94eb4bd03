"""What vLLM and llama.cpp stream for a turn of gpt-oss in raw tokens, chunk for chunk as theirs."""

import codecs
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from tests.faults.server import FaultServer, Reply, document, sse, stream

STOPS = {200002, 200012, 199999}
_HARMONY = {"tokens": [200006, 173781, 200005], "count": 3, "max_model_len": 4096}


@cache
def encoding() -> Any:
    import openai_harmony

    return openai_harmony.load_harmony_encoding("HarmonyGptOss")


def encode(text: str) -> list[int]:
    return list(encoding().encode(text, allowed_special="all"))


def vllm_chunks(text: str, *, ids: bool = True, cached: int = 0, finish: str = "") -> list[object]:
    """vLLM's chunks, some tokens each. Without `ids` as before 0.10.2: text only, the token that
    stopped it named as the reason."""
    tokens = encode(text)
    stopped = tokens[-1] in STOPS
    chunks: list[object] = []
    for start in range(0, len(tokens), 3):
        part = tokens[start : start + 3]
        shown = part[:-1] if start + 3 >= len(tokens) and stopped else part
        choice: dict[str, object] = {"index": 0, "text": encoding().decode(shown)}
        if ids:
            choice["token_ids"] = part
        chunks.append({"object": "text_completion", "choices": [choice]})
    last: Any = chunks[-1]
    eos = tokens[-1] in (200002, 199999)
    last["choices"][0]["finish_reason"] = finish or ("stop" if stopped else "length")
    last["choices"][0]["stop_reason"] = None if eos or not stopped else tokens[-1]
    usage: dict[str, object] = {"prompt_tokens": 9, "completion_tokens": len(tokens)}
    usage["prompt_tokens_details"] = {"cached_tokens": cached} if cached else None
    return [*chunks, {"object": "text_completion", "choices": [], "usage": usage}, "[DONE]"]


def llamacpp_chunks(text: str, *, cached: int = 0, old: bool = False) -> list[object]:
    """llama.cpp's chunks, one a token; a token amid a character is never sent. `old`: without the
    count of what was in the cache."""
    tokens = encode(text)
    chunks: list[object] = list(_pieces(tokens))
    timings = {"prompt_n": 50 - cached, "prompt_ms": 1.0, "predicted_n": len(tokens)}
    if not old:
        timings["cache_n"] = cached
    end = {"index": 0, "content": "", "tokens": [], "stop": True, "tokens_evaluated": 50}
    stop = "eos" if tokens[-1] in STOPS else "limit"
    return [*chunks, {**end, "stop_type": stop, "stopping_word": "", "timings": timings}]


def _pieces(tokens: Sequence[int]) -> Iterator[dict[str, object]]:
    decoder, held = codecs.getincrementaldecoder("utf-8")(), ""
    for token in tokens:
        held += "" if token >= 199_998 else decoder.decode(_bytes(token))
        if decoder.getstate()[0]:
            continue
        yield {"index": 0, "content": held, "tokens": [token], "stop": False, "id_slot": 0}
        held = ""


def _bytes(token: int) -> bytes:
    text: str = encoding().decode([token], errors="surrogateescape")
    return text.encode("utf-8", "surrogateescape")


def vllm_reply(text: str, **how: Any) -> Reply:
    return stream(sse(*vllm_chunks(text, **how)))


def llamacpp_reply(text: str, **how: Any) -> Reply:
    return stream(sse(*llamacpp_chunks(text, **how)))


def serving(kind: str, *replies: Reply, tokens: Sequence[int] = (), **more: Any) -> FaultServer:
    """A server of that kind with the model `m`, which is a gpt-oss unless other `tokens` are
    given."""
    told = {**_HARMONY, "tokens": list(tokens)} if tokens else _HARMONY
    listed = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": kind}]}
    routes = {
        "/v1/models": document(listed),
        "/tokenize": document(told if kind == "vllm" else {"tokens": told["tokens"]}),
        "/version": document({"version": "0.33.0"}),
        "/props": document({"default_generation_settings": {"n_ctx": 4096}}),
        **more,
    }
    return FaultServer(*replies, routes=routes)
