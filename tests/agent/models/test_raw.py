"""gpt-oss in raw tokens at vLLM and llama.cpp, as they stream them."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from agent.conversation import ToolMessage, UserMessage
from agent.models.base import (
    CallStarted,
    ContextOverflow,
    ModelError,
    ReasoningCut,
    ReasoningDelta,
    Retrying,
    Sampling,
    TextDelta,
    TurnDone,
)
from agent.models.harmony import HarmonyDialect
from agent.models.raw_wire import WIRES
from agent.monitor import Bounds, Monitor
from agent.watching import WatchedModel
from tests.agent.models.asking import SHELL, TASK, model, reasons, turn
from tests.faults.server import FaultServer, Reply, error, sse, stream
from tests.faults.tokens import (
    encode,
    llamacpp_chunks,
    llamacpp_reply,
    serving,
    vllm_chunks,
    vllm_reply,
)

pytestmark = pytest.mark.model

THINKS = "<|channel|>analysis<|message|>I look.<|end|><|start|>assistant"
CALL = THINKS + "<|channel|>commentary to=functions.shell <|constrain|>json<|message|>{}<|call|>"
FINAL = "<|channel|>final<|message|>Done, 🦀 and 🦄.<|return|>"
LOOP = "<|channel|>analysis<|message|>" + "Maybe the test is wrong, so I look at it again. " * 60

Make = Callable[..., Reply]
both = pytest.mark.parametrize(
    ("kind", "reply"), [("vllm", vllm_reply), ("llamacpp", llamacpp_reply)], ids=["vllm", "llama"]
)


@both
async def test_a_turn_has_the_very_tokens_that_the_model_gave(kind: str, reply: Make) -> None:
    async with serving(kind, reply(CALL, cached=40)) as server:
        events, done = await turn(server, name=f"{kind}:m")
    shown = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert (shown, done.message.reasoning) == ("I look.", "I look.")
    assert CallStarted(0, "shell") in events
    assert [(call.name, call.arguments) for call in done.message.calls] == [("shell", "{}")]
    assert (done.finish, done.problem) == ("calls", "")
    assert list(done.message.token_ids) == encode(CALL)
    assert done.usage.output_tokens == len(encode(CALL))
    assert (done.usage.cached_tokens, done.usage.estimated) == (40, False)
    assert done.usage.input_tokens == len(server.requests[0].json["prompt"])


@both
async def test_characters_that_span_tokens_come_whole(kind: str, reply: Make) -> None:
    async with serving(kind, reply(FINAL)) as server:
        events, done = await turn(server, name=f"{kind}:m")
    assert done.message.text == "Done, 🦀 and 🦄."
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Done, 🦀 and 🦄."
    assert list(done.message.token_ids) == encode(FINAL)


@both
async def test_the_next_turn_goes_on_from_these_tokens(kind: str, reply: Make) -> None:
    async with serving(kind, reply(CALL), reply(FINAL)) as server:
        opened = model(server, f"{kind}:m")
        first = await ended(opened)
        call = first.message.calls[0]
        result = ToolMessage(call.id, "shell", "nothing")
        second = await ended(opened, (*TASK, first.message, result))
        await opened.close()
    assert second.message.text.startswith("Done")
    asked = [request.json["prompt"] for request in server.requests]
    assert asked[1][: len(asked[0])] == asked[0]
    own = encode(CALL)
    assert asked[1][len(asked[0]) : len(asked[0]) + len(own)] == own


async def test_vllm_is_asked_for_tokens_and_no_more() -> None:
    async with serving("vllm", vllm_reply(FINAL)) as server:
        await turn(server, name="vllm:m", sampling=Sampling(seed=5))
    body = server.requests[0].json
    assert server.requests[0].path == "/v1/completions"
    assert body.pop("prompt") == list(HarmonyDialect().prompt(TASK, [SHELL], None).ids)
    assert body.pop("max_tokens") > 1000
    assert body == {
        "model": "m",
        "temperature": 1.0,
        "top_p": 1.0,
        "seed": 5,
        "stop_token_ids": [200002, 200012],
        "add_special_tokens": False,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "return_token_ids": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_llamacpp_is_asked_without_the_cuts_that_it_makes_by_itself() -> None:
    async with serving("llamacpp", llamacpp_reply(FINAL)) as server:
        await turn(server, name="llamacpp:m", sampling=Sampling(temperature=0.5, top_p=0.9))
    body = server.requests[0].json
    assert server.requests[0].path == "/completion"
    assert body.pop("prompt") == list(HarmonyDialect().prompt(TASK, [SHELL], None).ids)
    assert body.pop("n_predict") > 1000
    assert body == {
        "model": "m",
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 0,
        "min_p": 0.0,
        "cache_prompt": True,
        "return_tokens": True,
        "stream": True,
    }


@pytest.mark.parametrize("text", [CALL, FINAL], ids=["call", "final"])
async def test_an_old_vllm_gives_text_of_which_the_tokens_are_made(text: str) -> None:
    whole = text.replace("🦀", "crab").replace("🦄", "unicorn")
    async with serving("vllm", vllm_reply(whole, ids=False)) as server:
        _, done = await turn(server, name="vllm:m")
    assert list(done.message.token_ids) == encode(whole)
    assert not done.problem


async def test_an_old_llamacpp_tells_what_was_cached_in_its_own_way() -> None:
    async with serving("llamacpp", llamacpp_reply(FINAL, cached=30, old=True)) as server:
        _, done = await turn(server, name="llamacpp:m")
    assert done.usage.cached_tokens == 30


def read(kind: str, chunks: list[Any]) -> list[int]:
    wire = WIRES[kind]("m", HarmonyDialect())
    return [t for chunk in chunks if isinstance(chunk, dict) for t in wire.read(chunk).tokens]


def test_the_token_that_ends_a_turn_comes_once_also_where_the_server_keeps_it() -> None:
    assert read("vllm", vllm_chunks(CALL)) == encode(CALL)
    chunks = llamacpp_chunks(FINAL)
    assert read("llamacpp", chunks) == encode(FINAL)
    assert read("llamacpp", [*chunks[:-2], chunks[-1]]) == encode(FINAL)


@both
async def test_where_the_limit_ends_it_the_turn_says_so(kind: str, reply: Make) -> None:
    cut = CALL.removesuffix("}<|call|>")
    async with serving(kind, reply(cut)) as server:
        _, done = await turn(server, name=f"{kind}:m")
    assert done.finish == "length"
    assert "cut off" in done.problem


@both
async def test_a_server_that_goes_on_after_the_call_is_left(kind: str, reply: Make) -> None:
    chunks: Any = (vllm_chunks if kind == "vllm" else llamacpp_chunks)(CALL + LOOP)
    async with serving(kind, stream(sse(*chunks[:-3]), "hang")) as server:
        _, done = await turn(server, name=f"{kind}:m")
        await left(server)
    assert list(done.message.token_ids) == encode(CALL)


@both
async def test_a_server_that_keeps_no_limit_is_held_to_it(kind: str, reply: Make) -> None:
    async with serving(kind, reply(LOOP)) as server:
        _, done = await turn(server, name=f"{kind}:m", sampling=Sampling(max_output_tokens=20))
    assert (done.usage.output_tokens, done.finish) == (20, "length")


# What breaks.


@both
async def test_a_stream_that_breaks_begins_anew(kind: str, reply: Make) -> None:
    chunks: Any = (vllm_chunks if kind == "vllm" else llamacpp_chunks)(CALL)
    broken = stream(sse(*chunks[:3]), "close")
    async with serving(kind, broken, error(503), reply(CALL)) as server:
        events, done = await turn(server, name=f"{kind}:m")
    assert len(reasons(events)) == 2
    assert "connection broke" in reasons(events)[0]
    assert list(done.message.token_ids) == encode(CALL)
    assert done.message.reasoning == "I look."
    assert done.usage.abandoned_tokens > done.usage.input_tokens
    assert [request.body for request in server.requests[1:]] == [server.requests[0].body] * 2


@both
async def test_a_stream_without_an_end_is_asked_for_again(kind: str, reply: Make) -> None:
    chunks: Any = (vllm_chunks if kind == "vllm" else llamacpp_chunks)(CALL)
    async with serving(kind, stream(sse(*chunks[:2])), reply(FINAL)) as server:
        events, done = await turn(server, name=f"{kind}:m")
    assert "closed before the answer's end" in reasons(events)[0]
    assert done.message.text == "Done, 🦀 and 🦄."


async def test_a_request_that_the_engine_gave_up_is_asked_again() -> None:
    given_up = vllm_reply(LOOP, finish="abort")
    async with serving("vllm", given_up, vllm_reply(FINAL)) as server:
        events, done = await turn(server, name="vllm:m")
    assert reasons(events) == ["the server gave the answer up (abort)"]
    assert not done.problem


async def refused(*replies: Reply, **settings: Any) -> ModelError:
    async with serving("vllm", *replies) as server:
        with pytest.raises(ModelError) as caught:
            await turn(server, name="vllm:m", **settings)
    return caught.value


async def test_the_errors_are_those_of_the_chat_client() -> None:
    window = "This model's maximum context length is 4096 tokens."
    assert isinstance(await refused(error(400, window)), ContextOverflow)
    assert "asked 3 times" in (await refused(error(500, "x"))).message
    assert (
        "refuses the request: no such field" in (await refused(error(400, "no such field"))).message
    )
    assert "does not know the model" in (await refused(error(404, "no"))).message
    silent = await refused(stream("hang"), first_token_timeout=0.2)
    assert "no token from vLLM" in silent.message
    assert "wants a key" in (await refused(error(401, "no"))).message


async def test_a_token_of_another_vocabulary_is_an_error() -> None:
    chunk = {"choices": [{"index": 0, "text": "", "token_ids": [5_000_000]}]}
    found = await refused(stream(sse(chunk)))
    assert "does not have: 5000000" in found.message


async def test_a_prompt_beyond_the_window_is_never_sent() -> None:
    async with serving("llamacpp", llamacpp_reply(FINAL)) as server:
        with pytest.raises(ContextOverflow, match="reads no more than 4096"):
            await turn(server, (UserMessage("word " * 5000),), name="llamacpp:m")
        assert not server.requests
        assert server.others


@both
async def test_a_turn_that_takes_too_long_is_cut(kind: str, reply: Make) -> None:
    chunks: Any = (vllm_chunks if kind == "vllm" else llamacpp_chunks)(CALL)
    async with serving(kind, stream(sse(*chunks[:2]), "hang")) as server:
        _, done = await turn(server, name=f"{kind}:m", turn_timeout=0.3)
        await left(server)
    assert done.finish == "cut"
    assert "cut off after" in done.problem


# Closing and going on.


async def left(server: FaultServer) -> None:
    async with asyncio.timeout(20):
        while not server.aborted:
            await asyncio.sleep(0.01)


@both
async def test_closing_the_turn_aborts_it_at_the_server(kind: str, reply: Make) -> None:
    chunks: Any = (vllm_chunks if kind == "vllm" else llamacpp_chunks)(LOOP)
    async with serving(kind, stream(sse(*chunks[:20]), "hang")) as server:
        opened = model(server, f"{kind}:m")
        async with aclosing(opened.generate(TASK, [], Sampling())) as events:
            assert isinstance(await anext(events), ReasoningDelta)
        await left(server)
        await opened.close()


@both
async def test_a_loop_is_cut_and_the_answer_opened_on_the_same_tokens(
    kind: str, reply: Make
) -> None:
    after = " to=functions.shell<|channel|>commentary<|message|>{}<|call|>"
    chunks: Any = (vllm_chunks if kind == "vllm" else llamacpp_chunks)(LOOP)
    async with serving(kind, stream(sse(*chunks[:-3]), "hang"), reply(after)) as server:
        opened = model(server, f"{kind}:m")
        watched = WatchedModel(opened, Monitor(Bounds()))
        events = [event async for event in watched.generate(TASK, [SHELL], Sampling())]
        await opened.close()
        await left(server)
    done = events[-1]
    assert isinstance(done, TurnDone)
    assert [e.way for e in events if isinstance(e, ReasoningCut)] == ["closed"]
    assert not any(isinstance(e, Retrying) for e in events)
    assert [call.name for call in done.message.calls] == ["shell"]
    first, second = (request.json["prompt"] for request in server.requests)
    assert second[: len(first)] == first
    ending = encode("<|end|><|start|>assistant")
    assert second[-len(ending) :] == ending
    assert second[len(first) :] == list(done.message.token_ids)[: len(second) - len(first)]


async def ended(opened: Any, conversation: Any = TASK) -> TurnDone:
    events = [event async for event in opened.generate(conversation, [SHELL], Sampling())]
    done = events[-1]
    assert isinstance(done, TurnDone)
    return done
