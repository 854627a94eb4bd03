"""Model servers with a character: fakes that answer by what they are asked, as one kind would."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.server import (
    FaultServer,
    Reply,
    Request,
    call,
    delta,
    document,
    error,
    ndjson,
    sse,
    usage,
)


@dataclass(frozen=True)
class Habits:
    """What a server and its model do. `reasoning` is the field in which reasoning is given, `back`
    the one in which it is taken back."""

    tools: bool = True
    drops_tools: bool = False
    strict: bool = False
    structured: bool = False
    reasoning: str = "reasoning"
    back: str = ""
    counts: bool = True
    caches: bool = False
    gathers: bool = False
    #: From this chat request on every connection breaks.
    breaks_after: int = 1 << 20


class Character(FaultServer):
    """A server with these habits. `prompts` are the texts that it was sent."""

    def __init__(self, habits: Habits, routes: Mapping[str, Reply]) -> None:
        super().__init__(routes=routes)
        self.habits = habits
        self.prompts: list[str] = []

    def _next(self, request: Request) -> Reply:
        if not request.path.endswith("/chat/completions"):
            self.others.append(request)
            return self.routes.get(request.path, error(404, {"detail": "Not Found"}))
        self.requests.append(request)
        if len(self.requests) > self.habits.breaks_after:
            return Reply(["close"], raw=True)
        return self._chat(request.json)

    def _chat(self, body: Mapping[str, Any]) -> Reply:
        habits, tools = self.habits, body.get("tools", [])
        if tools and not habits.tools:
            return error(400, "this model does not support tools")
        if body.get("response_format") and habits.structured:
            return document({"choices": [{"message": {"content": '{"colour": "red"}'}}]})
        if not body.get("stream"):
            counted = self._counted(body, tools)["usage"]
            return document({"choices": [{"message": {"content": "Blue."}}], "usage": counted})
        chunks = [] if body.get("max_tokens") == 1 else self._said(body, tools)
        return self._streamed(chunks, self._counted(body, tools))

    def _said(self, body: Mapping[str, Any], tools: list[Any]) -> list[dict[str, object]]:
        name = tools[0]["function"]["name"] if tools else ""
        thought = [delta(**{self.habits.reasoning: "Hm."})] if self.habits.reasoning else []
        if not name or self.habits.drops_tools:
            return [*thought, delta(content="Hello"), delta(content=" there.")]
        if name == "pick_colour":
            held = self.habits.strict and tools[0]["function"].get("strict")
            return [*thought, call(name, {"colour": "red" if held else "purple"})]
        return [*thought, *(call(name, {"text": t}, f"c{n}", n) for n, t in enumerate("ab"))]

    def _counted(self, body: Mapping[str, Any], tools: list[Any]) -> dict[str, object]:
        kept = {"role", "content", "tool_calls", self.habits.back}
        told = [{k: v for k, v in m.items() if k in kept} for m in body["messages"]]
        text = json.dumps([[] if self.habits.drops_tools else tools, told])
        known = max((_alike(text, earlier) for earlier in self.prompts), default=0)
        self.prompts.append(text)
        cached = {"prompt_tokens_details": {"cached_tokens": known // 4}}
        return usage(len(text) // 4, 12, **(cached if self.habits.caches else {}))

    def _streamed(self, chunks: list[dict[str, object]], counts: dict[str, object]) -> Reply:
        if self.habits.gathers:
            whole = "".join(
                str(chunk["choices"][0]["delta"].get("content") or "")  # type: ignore[index]
                for chunk in chunks
            )
            chunks = [delta(content=whole)]
        last = [counts] if self.habits.counts else []
        steps: list[Any] = [sse(chunk) for chunk in chunks]
        return Reply([*steps, sse(delta("stop"), *last, "[DONE]")])


def _alike(one: str, other: str) -> int:
    """With how many characters both begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def vllm() -> Character:
    """vLLM with gpt-oss, everything on."""
    metrics = (
        "# HELP vllm:kv_cache_usage_perc KV-cache usage.\n"
        'vllm:kv_cache_usage_perc{model_name="m"} 0.25\n'
        'vllm:num_requests_running{model_name="m"} 3.0\n'
        'vllm:prefix_cache_queries_total{model_name="m"} 200.0\n'
        'vllm:prefix_cache_hits_total{model_name="m"} 150.0\n'
    )
    entry = {"id": "gpt-oss-20b", "owned_by": "vllm", "max_model_len": 131_072}
    routes = {
        "/v1/models": document({"data": [entry]}),
        "/version": document({"version": "0.33.0"}),
        "/tokenize": document({"tokens": [200006, 173781, 200005]}),
        "/v1/completions": document({"choices": [{"text": "x", "token_ids": [5]}]}),
        "/metrics": Reply([metrics.encode()], headers={"Content-Type": "text/plain"}, whole=True),
    }
    return Character(Habits(strict=True, structured=True, back="reasoning", caches=True), routes)


def llamacpp(**more: Any) -> Character:
    """llama.cpp whose build drops the reasoning that it is sent."""
    entry = {"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 131_072}}
    routes = {
        "/v1/models": document({"data": [entry]}),
        "/props": document(
            {"default_generation_settings": {"n_ctx": 16_384}, "build_info": "b7000"}
        ),
        "/completion": document({"content": "x", "tokens": [5]}),
    }
    habits = {"structured": True, "reasoning": "reasoning_content", "caches": True, **more}
    return Character(Habits(**habits), routes)


def without_tools() -> Character:
    """A small server that knows neither tools nor counts, and hands answers over whole."""
    habits = Habits(tools=False, reasoning="", counts=False, gathers=True)
    return Character(habits, {"/v1/models": document({"data": [{"id": "m"}]})})


def line(done: str = "", **message: Any) -> dict[str, Any]:
    """One line of an answer of Ollama's own interface."""
    said = {"model": "m", "message": {"role": "assistant", "content": "", **message}}
    end = {"done_reason": done, "prompt_eval_count": 40, "eval_count": 7, "eval_duration": 2e9}
    return {**said, "done": bool(done), **(end if done else {})}


def answers(*lines: dict[str, Any]) -> Reply:
    return ndjson(*lines, line("stop"))


class Ollama(FaultServer):
    """A server whose model has a window of `trained` and is loaded with `default` unless a request
    says more; a context beyond `room` does not load."""

    def __init__(
        self,
        *replies: Reply,
        trained: int = 131_072,
        default: int = 4096,
        parameters: str = "temperature 1",
        room: int = 1 << 20,
    ) -> None:
        super().__init__(*(replies or (answers(line(content="hi"), line(content="!")),)))
        self.default, self.room = default, room
        self.loads: list[int] = []
        shown = {"model_info": {"gptoss.context_length": trained}, "parameters": parameters}
        self.routes |= {
            "/api/version": document({"version": "0.12.6"}),
            "/api/show": document(shown),
            "/api/ps": document({"models": []}),
        }

    def _next(self, request: Request) -> Reply:
        if request.path == "/api/generate":
            window = request.json.get("options", {}).get("num_ctx", self.default)
            if window > self.room:
                return error(500, {"error": "model requires more system memory"})
            self.loads.append(window)
            loaded = {"name": "m:latest", "context_length": window, "size": 10, "size_vram": 8}
            self.routes["/api/ps"] = document({"models": [loaded]})
            return document({"done": True})
        return super()._next(request)
