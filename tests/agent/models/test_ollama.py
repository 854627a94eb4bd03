"""Ollama's own interface, against a fake that loads a model as Ollama does."""

import json
from typing import Any

import pytest

from agent.conversation import AssistantMessage, ToolCall, ToolMessage, UserMessage
from agent.models.base import ModelError, ReasoningDelta, Sampling, TextDelta, TurnDone
from agent.models.ollama import wanted_window
from agent.models.probe import Facts
from tests.agent.models.asking import SHELL, TASK, failure, model, reasons, turn
from tests.faults.characters import Ollama, answers, line
from tests.faults.server import error, ndjson


async def prepared(server: Ollama, name: str = "ollama:m", **settings: Any) -> tuple[int, str]:
    """The window that the model has then, and what the user was told."""
    said: list[str] = []
    opened = model(server, name, **settings)
    await opened.prepare(said.append)
    await opened.close()
    assert opened.info.server == "ollama"
    return opened.info.context_window or 0, " ".join(said)


async def test_a_small_default_is_raised_and_said() -> None:
    async with Ollama() as server:
        window, said = await prepared(server)
    assert window == 32_768
    assert server.loads == [4096, 32_768]
    assert "context of 32,768 tokens instead of 4,096" in said


async def test_each_request_asks_for_the_window_by_ollamas_own_interface() -> None:
    async with Ollama() as server:
        await turn(server, name="ollama:m", sampling=Sampling(0.5, 0.9, 100, 7, "low"))
    [request] = server.requests
    assert request.path == "/api/chat"
    assert request.json["think"] == "low"
    assert request.json["options"] == {
        "num_ctx": 32_768,
        "num_predict": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
    }


async def test_the_users_window_counts_as_far_as_the_model_has_it() -> None:
    async with Ollama(trained=8192) as server:
        assert (await prepared(server, context_window=6000))[0] == 6000
        assert (await prepared(server, context_window=100_000))[0] == 8192


async def test_a_window_that_somebody_chose_stays() -> None:
    async with Ollama(parameters="num_ctx                        8192", default=8192) as server:
        assert (await prepared(server))[0] == 8192
    async with Ollama(default=65_536) as server:
        assert (await prepared(server))[0] == 65_536
    assert server.loads == [65_536]


async def test_a_window_that_does_not_load_is_said_and_left() -> None:
    async with Ollama(room=5_000) as server:
        window, said = await prepared(server)
    assert window == 4096
    assert "more system memory" in said
    assert "stays as it is" in said


async def test_half_the_window_is_tried_where_the_whole_does_not_load() -> None:
    async with Ollama(room=20_000) as server:
        window, said = await prepared(server)
        assert window == 16_384
        assert "context of 16,384 tokens instead of 4,096" in said
        assert "stays" not in said
        assert (await prepared(server, context_window=30_000))[0] == 16_384
    assert server.loads == [4096, 16_384]


@pytest.mark.parametrize(
    ("facts", "asked", "wanted"),
    [
        (Facts(context_window=4096, model_window=131_072), None, 32_768),
        (Facts(context_window=4096, model_window=8192), None, 8192),
        (Facts(context_window=4096), None, 4096),
        (Facts(model_window=131_072), None, None),
        (Facts(), 9000, 9000),
        (Facts(context_window=4096, model_window=131_072, window_is_chosen=True), None, 4096),
    ],
)
def test_the_window_that_is_wanted(facts: Facts, asked: int | None, wanted: int | None) -> None:
    assert wanted_window(facts, asked) == wanted


async def test_a_turn_streams_reasoning_text_and_calls() -> None:
    called = [{"function": {"name": "shell", "arguments": {"command": "ls"}}}]
    lines = line(thinking="hm"), line(content="ok"), line(tool_calls=called)
    async with Ollama(answers(*lines)) as server:
        events, done = await turn(server, name="ollama:m")
    assert events[:2] == [ReasoningDelta("hm"), TextDelta("ok")]
    assert (done.message.text, done.message.reasoning, done.finish) == ("ok", "hm", "calls")
    assert json.loads(done.message.calls[0].arguments) == {"command": "ls"}
    assert (done.usage.input_tokens, done.usage.output_tokens) == (40, 7)
    assert done.timings["output_seconds"] == 2


async def test_a_history_goes_back_with_objects_and_its_thinking() -> None:
    said = AssistantMessage("", "hm", (ToolCall("c1", "shell", '{"command": "ls"}'),))
    history = (*TASK, said, ToolMessage("c1", "shell", "a.py"))
    async with Ollama() as server:
        await turn(server, history, name="ollama:m")
    sent = server.requests[0].json["messages"]
    assert sent[2]["thinking"] == "hm"
    assert sent[2]["tool_calls"][0]["function"]["arguments"] == {"command": "ls"}
    assert sent[3] == {"role": "tool", "tool_call_id": "c1", "content": "a.py"}


async def test_an_error_within_a_stream_is_asked_again() -> None:
    bad = ndjson(line(thinking="hm"), {"error": "error parsing tool call: raw='ls', err=invalid"})
    async with Ollama(bad, answers(line(content="hi"))) as server:
        events, done = await turn(server, name="ollama:m")
    assert "could not read the model's tool call" in reasons(events)[0]
    assert done.message.text == "hi"


async def test_a_stream_that_breaks_off_is_asked_again() -> None:
    async with Ollama(ndjson(line(content="half")), answers(line(content="hi"))) as server:
        events, done = await turn(server, name="ollama:m")
    assert "before the answer's end" in reasons(events)[0]
    assert done.message.text == "hi"


async def test_a_model_without_tools_gets_them_as_text() -> None:
    refusal = error(400, {"error": "registry.ollama.ai/library/m:latest does not support tools"})
    async with Ollama(refusal, answers(line(content="hi"))) as server:
        await turn(server, name="ollama:m")
    assert "tools" not in server.requests[1].json


async def test_a_model_that_is_not_there_is_named() -> None:
    async with Ollama(error(404, {"error": "model 'm' not found"})) as server:
        with pytest.raises(ModelError, match="has no model 'm'"):
            await turn(server, name="ollama:m")
    assert "no model" in (await failure(error(404, {"error": "model 'm' not found"}))).message


async def test_a_base_url_alone_finds_out_that_it_is_ollama() -> None:
    async with Ollama() as server:
        assert (await prepared(server, "openai:m"))[0] == 32_768
        opened = model(server)
        async for event in opened.generate((*TASK, UserMessage("Go on.")), [SHELL], Sampling()):
            last = event
        await opened.close()
    assert isinstance(last, TurnDone)
    assert server.requests[0].path == "/api/chat"
