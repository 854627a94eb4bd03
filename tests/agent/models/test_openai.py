import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from agent.conversation import (
    AssistantMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from agent.models.base import (
    CallStarted,
    ContextOverflow,
    ModelError,
    ReasoningDelta,
    Retrying,
    Sampling,
    TextDelta,
    TurnDone,
)
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from tests.agent.models.asking import (
    KEY,
    SHELL,
    TASK,
    failure,
    model,
    reasons,
    turn,
)
from tests.faults.server import (
    FaultServer,
    answer,
    call,
    delta,
    document,
    error,
    sse,
    stream,
    usage,
)

# What a turn is.


async def test_a_turn_streams_reasoning_text_and_calls() -> None:
    reply = answer(
        "",
        delta(role="assistant", content=""),
        delta(reasoning="hm"),
        delta(content="ok"),
        call("shell", {"command": "ls"}),
    )
    async with FaultServer(reply) as server:
        events, done = await turn(server)
    assert events == [ReasoningDelta("hm"), TextDelta("ok"), CallStarted(0, "shell")]
    assert (done.message.text, done.message.reasoning, done.finish) == ("ok", "hm", "calls")
    assert done.message.calls[0].arguments == '{"command": "ls"}'
    assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.estimated) == (
        11,
        3,
        False,
    )
    assert 0 < done.timings["first_token_seconds"] <= done.timings["seconds"]


async def test_deltas_arrive_while_the_server_still_writes() -> None:
    async with FaultServer(stream(sse(delta(content="now")), "hang")) as server:
        opened = model(server)
        async with aclosing(opened.generate(TASK, [], Sampling())) as events:
            assert await asyncio.wait_for(anext(events), 5) == TextDelta("now")
        await opened.close()


async def test_closing_the_turn_aborts_it_at_the_server() -> None:
    async with FaultServer(stream(sse(delta(content="a")), "hang")) as server:
        opened = model(server)
        async with aclosing(opened.generate(TASK, [], Sampling())) as events:
            await anext(events)
        for _ in range(200):
            if server.aborted:
                break
            await asyncio.sleep(0.01)
        await opened.close()
        assert server.aborted == 1


async def test_cancelling_the_task_aborts_the_turn() -> None:
    async with FaultServer(stream(sse(delta(content="a")), "hang")) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await turn(server)
        await asyncio.sleep(0.1)
        assert server.aborted == 1


async def test_turns_share_one_connection() -> None:
    async with FaultServer(answer("hi")) as server:
        opened = model(server)
        for _ in range(3):
            async for _event in opened.generate(TASK, [], Sampling()):
                pass
        await opened.close()
        assert server.connections == 1


async def test_an_answer_that_is_not_streamed_is_taken_whole() -> None:
    arguments = {"command": "ls"}
    whole = {
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "content": "ok",
                    "tool_calls": [{"function": {"name": "shell", "arguments": arguments}}],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }
    async with FaultServer(document(whole)) as server:
        events, done = await turn(server)
    assert events == [TextDelta("ok"), CallStarted(0, "shell")]
    assert json.loads(done.message.calls[0].arguments) == arguments
    assert done.usage.output_tokens == 2


# What the server is asked.


async def test_only_the_sampling_that_was_given_is_sent() -> None:
    async with FaultServer(answer()) as server:
        await turn(server)
        sampling = Sampling(0.2, 0.9, 100, 7, "high")
        await turn(server, sampling=sampling)
    plain, full = (request.json for request in server.requests)
    assert set(plain) == {"model", "messages", "stream", "stream_options", "tools"}
    assert {key: full[key] for key in full.keys() - plain.keys()} == {
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 100,
        "seed": 7,
        "reasoning_effort": "high",
    }


async def test_the_key_is_sent_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    echoed = error(400, f"bad request with header Bearer {KEY}")
    async with FaultServer(answer("", delta(content=f"it is {KEY}")), echoed) as server:
        opened = model(server, key=KEY)
        events = [event async for event in opened.generate(TASK, [], Sampling())]
        with pytest.raises(ModelError) as caught:
            async for _event in opened.generate(TASK, [], Sampling()):
                pass
        shown = [repr(events), repr(vars(opened)), str(caught.value), caplog.text]
        shown += [repr(opened.info), repr(opened.info.as_dict())]
        await opened.close()
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert not [text for text in shown if KEY in text]
    assert "it is [key]" in shown[0]


async def test_another_server_never_gets_the_key_for_openai() -> None:
    async with FaultServer(answer()) as server:
        await turn(server, name="vllm:m", key=KEY)
    assert "authorization" not in server.requests[0].headers


async def test_the_key_comes_from_the_variable_that_was_named() -> None:
    async with FaultServer(answer()) as server:
        settings = ModelSettings(base_url=server.base_url, key_variable="MY_KEY")
        opened = open_model("vllm:m", settings, {"MY_KEY": "abc", "OPENAI_API_KEY": KEY})
        async for _event in opened.generate(TASK, [], Sampling()):
            pass
        await opened.close()
    assert server.requests[0].headers["authorization"] == "Bearer abc"


async def test_a_login_in_the_address_is_used_and_not_shown() -> None:
    async with FaultServer(answer()) as server:
        address = server.base_url.replace("127.0.0.1", "me:pass%40word@127.0.0.1")
        opened = model(server, base_url=address)
        async for _event in opened.generate(TASK, [], Sampling()):
            pass
        await opened.close()
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    assert opened.info.address == server.base_url
    assert "pass" not in repr(vars(opened))


async def test_a_loopback_address_is_not_sent_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with FaultServer(answer("hi")) as server:
        _, done = await turn(server)
    assert done.message.text == "hi"


@pytest.mark.parametrize(
    ("name", "field"),
    [("vllm:m", "reasoning"), ("ollama:m", "reasoning"), ("llamacpp:m", "reasoning_content")],
)
async def test_reasoning_goes_back_within_the_turn_in_the_servers_field(
    name: str, field: str
) -> None:
    reply = answer("", delta(reasoning="r1"), call("shell", {}))
    async with FaultServer(reply) as server:
        _, done = await turn(server, name=name)
        result = ToolMessage(done.message.calls[0].id, "shell", "output")
        within = (*TASK, done.message, result, UserMessage("tests fail", "reflection"))
        await turn(server, within, name=name)
        await turn(server, (*within, UserMessage("Now this.", "guidance")), name=name)
    second, third = (request.json["messages"] for request in server.requests[1:])
    assert second[2][field] == "r1"
    assert not [message for message in third if field in message]


async def test_an_unknown_server_gets_reasoning_back_only_as_it_gave_it() -> None:
    said = AssistantMessage(text="a", reasoning="r0")
    reply = answer("", delta(reasoning_content="r1"), delta(content="b"))
    async with FaultServer(reply) as server:
        opened = model(server)
        for _ in range(2):
            async for _event in opened.generate((*TASK, said), [], Sampling()):
                pass
        await opened.close()
    first, second = (request.json["messages"][2] for request in server.requests)
    assert first.keys() == {"role", "content"}
    assert second["reasoning_content"] == "r0"


async def test_a_refused_option_of_ours_is_left_out_for_good() -> None:
    refusal = error(400, "Unrecognized request argument supplied: stream_options")
    async with FaultServer(refusal, answer("hi")) as server:
        opened = model(server)
        for _ in range(2):
            async for event in opened.generate(TASK, [], Sampling()):
                assert not isinstance(event, Retrying)
        await opened.close()
    assert ["stream_options" in request.json for request in server.requests] == [True, False, False]


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model."
            " Use 'max_completion_tokens' instead.",
            "max_completion_tokens",
            9000,
        ),
        (
            "'max_tokens' is too large: 9000. This model's maximum context length is 8192 tokens"
            " and your request has 500 input tokens (9000 > 8192 - 500).",
            "max_tokens",
            8192 - 500 - 16,
        ),
    ],
)
async def test_the_output_limit_is_put_as_the_server_takes_it(
    said: str, field: str, value: int
) -> None:
    async with FaultServer(error(400, said), answer("hi")) as server:
        await turn(server, sampling=Sampling(max_output_tokens=9000))
    assert server.requests[1].json[field] == value


async def test_an_option_of_the_users_is_not_given_up_silently() -> None:
    problem = await failure(error(400, "temperature must be 1"))
    assert "temperature must be 1" in problem.message


# Counting.


async def test_usage_is_estimated_when_the_server_reports_none() -> None:
    async with FaultServer(stream(sse(delta("stop", content="x" * 40), "[DONE]"))) as server:
        _, done = await turn(server)
    assert done.usage.estimated
    assert done.usage.output_tokens == 10
    assert done.usage.input_tokens > 4


async def test_a_lost_answer_is_counted_apart() -> None:
    async with FaultServer(stream(sse(delta(content="x" * 400)), "close"), answer()) as server:
        _, done = await turn(server)
    assert done.usage.input_tokens == 11
    assert done.usage.abandoned_tokens > 100
    assert done.usage.total_tokens == 11 + 3 + done.usage.abandoned_tokens


async def test_a_local_server_costs_nothing_and_the_user_sets_other_prices() -> None:
    async with FaultServer(answer()) as server:
        assert model(server).info.local
        assert model(server).info.price is not None
    away = open_model("vllm:m", ModelSettings(base_url="http://192.0.2.1/v1"), {})
    assert not away.info.local
    assert away.info.price is None


# Malformed turns.


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([usage(10, 50)], "50 tokens were lost"),
        ([delta(reasoning="hm")], "You thought"),
        ([delta("length", reasoning="hm")], "before you answered or called a tool"),
        ([delta("length", content="So I will")], "Your answer was cut off at the limit"),
        ([delta("tool_calls")], "could not be read"),
        ([delta("content_filter")], "content filter"),
        ([delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}])], "named no tool"),
        ([call("shell", '{"a": "b'), delta("length")], "Your call of shell was cut off"),
    ],
)
async def test_a_malformed_turn_says_so_to_the_model(
    chunks: list[dict[str, Any]], words: str
) -> None:
    async with FaultServer(stream(sse(*chunks, "[DONE]"))) as server:
        _, done = await turn(server)
    assert words in done.problem


async def test_invalid_arguments_and_unknown_tools_are_left_to_the_toolbox() -> None:
    reply = answer("", call("shel", '{"a": '), delta("tool_calls"))
    async with FaultServer(reply) as server:
        _, done = await turn(server)
    assert [(made.name, made.arguments) for made in done.message.calls] == [("shel", '{"a":')]
    assert not done.problem


@pytest.mark.parametrize(
    "said",
    [
        "error parsing tool call: raw '{\"a\": ', err=unexpected end of JSON input",
        "Failed to parse input at pos 120: <|channel|>??",
        "Unexpected token 12606 while expecting start token 200006",
    ],
)
async def test_a_call_the_server_could_not_parse_is_asked_again_then_malformed(said: str) -> None:
    async with FaultServer(error(500, said)) as server:
        events, done = await turn(server, sampling=Sampling(seed=5), retries=4)
    assert len(reasons(events)) == 2
    assert [request.json["seed"] for request in server.requests] == [5, 6, 7]
    assert "Your tool call was not valid" in done.problem
    assert done.usage.abandoned_tokens > 0
    async with FaultServer(error(500, said), answer("hi")) as server:
        _, done = await turn(server)
    assert done.message.text == "hi"


async def test_where_a_server_offers_no_tool_calls_they_are_written_as_text() -> None:
    refusal = error(400, "registry.ollama.ai/library/m does not support tools")
    written = answer('Look:\n```json\n{"name": "shell", "arguments": {}}\n```')
    async with FaultServer(refusal, written) as server:
        opened = model(server)
        for number in range(2):
            events = [event async for event in opened.generate(TASK, [SHELL], Sampling())]
            assert len(reasons(events)) == (1 if number == 0 else 0)
            done = events[-1]
            assert isinstance(done, TurnDone)
            assert [(c.name, c.arguments) for c in done.message.calls] == [("shell", "{}")]
            assert done.message.text == "Look:"
        await opened.close()
    body = server.requests[-1].json
    assert len(server.requests) == 3
    assert "tools" not in body
    assert "- shell: Runs a command." in body["messages"][0]["content"]


async def test_tools_are_written_where_the_user_says_so() -> None:
    async with FaultServer(answer()) as server:
        await turn(server, written_tools=True)
    assert "tools" not in server.requests[0].json


async def test_a_call_that_was_written_goes_back_as_it_was_written() -> None:
    said = AssistantMessage("I look.", calls=(ToolCall("c1", "shell", '{"command": "ls"}'),))
    history = (*TASK, said, ToolMessage("c1", "shell", "a.py"), UserMessage("Go on."))
    async with FaultServer(error(400, "this model does not support tools"), answer()) as server:
        await turn(server, history)
    messages = server.requests[1].json["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert '{"name": "shell", "arguments": {"command": "ls"}}' in messages[2]["content"]
    assert messages[3]["content"] == "Result of shell:\na.py\n\nGo on."


# What a server says of itself.


async def test_ollamas_window_is_asked_for_and_kept() -> None:
    loaded = {"models": [{"name": "m:latest", "context_length": 4096}]}
    routes = {
        "/api/version": document({"version": "0.15.0"}),
        "/api/ps": document(loaded),
    }
    async with FaultServer(answer(), routes=routes) as server:
        opened = model(server, name="ollama:m")
        await opened.prepare()
        assert (opened.info.context_window, opened.info.server_version) == (4096, "0.15.0")
        long = (*TASK, UserMessage("x" * 40_000))
        with pytest.raises(ContextOverflow):
            async for _event in opened.generate(long, [], Sampling()):
                pass
        await opened.close()
    assert not server.requests


async def test_a_key_barred_from_lists_can_still_be_used() -> None:
    routes = {"/v1/models": error(403, "missing scope")}
    async with FaultServer(answer("hi"), routes=routes) as server:
        _, done = await turn(server, key=KEY)
    assert done.message.text == "hi"


async def test_a_base_url_alone_gets_the_abilities_of_the_server_behind_it() -> None:
    said = AssistantMessage(text="a", reasoning="r0")
    routes = {"/v1/models": document({"data": [{"id": "m", "owned_by": "vllm"}]})}
    async with FaultServer(answer(), routes=routes) as server:
        await turn(server, (*TASK, said))
    body = server.requests[0].json
    assert body["messages"][2]["reasoning"] == "r0"
    assert body["tools"][0]["function"]["strict"] is True


async def test_strict_tools_are_given_up_where_a_schema_has_no_grammar() -> None:
    refusal = error(400, "The provided JSON schema contains features not supported by xgrammar.")
    async with FaultServer(refusal, answer()) as server:
        await turn(server, name="vllm:m")
    strict = ["strict" in request.json["tools"][0]["function"] for request in server.requests]
    assert strict == [True, False]


async def test_candidates_are_turns_with_seeds_counted_up() -> None:
    async with FaultServer(answer("hi")) as server:
        opened = model(server)
        found = [done async for done in opened.candidates(TASK, [], Sampling(seed=3), 3)]
        await opened.close()
    assert len(found) == 3
    assert [request.json["seed"] for request in server.requests] == [3, 4, 5]
