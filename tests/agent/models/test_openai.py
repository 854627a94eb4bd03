import asyncio
import json
import ssl
import subprocess
import time
from collections.abc import Sequence
from contextlib import aclosing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from agent.conversation import (
    AssistantMessage,
    Conversation,
    SystemMessage,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.base import (
    CallStarted,
    ContextOverflow,
    Event,
    Model,
    ModelError,
    ReasoningDelta,
    Retrying,
    Sampling,
    TextDelta,
    TurnDone,
)
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from tests.faults.server import (
    FaultServer,
    Reply,
    Step,
    answer,
    call,
    delta,
    document,
    error,
    page,
    sse,
    stream,
    usage,
)

KEY = "sk-test-0123456789abcdef"
SHELL = ToolSpec("shell", "Runs a command.", {"type": "object", "properties": {}})
TASK: Conversation = (SystemMessage("Be good."), UserMessage("Fix it."))


def model(server: FaultServer, name: str = "openai:m", key: str = "", **settings: Any) -> Model:
    given = {"base_url": server.base_url, "retry_wait": 0.001, "retries": 2, **settings}
    return open_model(name, ModelSettings(**given), {"OPENAI_API_KEY": key})


async def turn(
    server: FaultServer,
    conversation: Conversation = TASK,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    **settings: Any,
) -> tuple[list[Event], TurnDone]:
    """The events of one turn, and its end."""
    opened = model(server, **settings)
    try:
        events = [event async for event in opened.generate(conversation, [SHELL], sampling)]
    finally:
        await opened.close()
    done = events.pop()
    assert isinstance(done, TurnDone)
    return events, done


async def failure(*replies: Reply, **settings: Any) -> ModelError:
    """The error that ends a turn which gets these replies."""
    async with FaultServer(*replies) as server:
        with pytest.raises(ModelError) as caught:
            await turn(server, **settings)
    return caught.value


def certified(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own making, which nobody else trusts."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def collect(opened: Model, events: list[Event]) -> None:
    """Adds the events of a turn one by one, so that those before an error are kept."""
    async for event in opened.generate(TASK, [], Sampling()):
        events.append(event)


def reasons(events: Sequence[Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, Retrying)]


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


# What breaks and is tried again.


@pytest.mark.parametrize(
    "steps",
    [
        [sse(delta(content="half")), "close"],
        [sse(delta(content="half"))],
        [sse(delta(content="half")), b'data: {"choices": [{"del'],
        ["close"],
        [],
    ],
    ids=["reset", "ends early", "ends in a word", "nothing", "empty"],
)
async def test_a_broken_stream_starts_the_turn_over(steps: list[Step]) -> None:
    async with FaultServer(stream(*steps), answer("whole")) as server:
        events, done = await turn(server)
    assert done.message.text == "whole"
    assert len(reasons(events)) == 1
    assert "connection" in reasons(events)[0]
    assert isinstance(events[-1], TextDelta)


async def test_a_server_that_keeps_breaking_off_is_given_up() -> None:
    problem = await failure(stream(sse(delta(content="half")), "close"))
    assert "asked 3 times" in problem.message
    assert "greenroom resume" in problem.hint


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_busy_or_failing_server_is_asked_again(status: int) -> None:
    async with FaultServer(error(status, "later"), page(status), answer("hi")) as server:
        events, done = await turn(server)
    assert done.message.text == "hi"
    assert f"HTTP {status}: later" in reasons(events)[0]


async def test_the_pauses_grow() -> None:
    async with FaultServer(error(500, "x")) as server:
        opened = model(server, retries=4, retry_wait=0.01)
        events: list[Event] = []
        with pytest.raises(ModelError):
            await collect(opened, events)
        await opened.close()
    pauses = [event.seconds for event in events if isinstance(event, Retrying)]
    assert len(pauses) == 4
    assert 0.01 <= pauses[0] <= 0.02
    assert 0.08 <= pauses[3] <= 0.09


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "0.3"},
        {"retry-after-ms": "300"},
        {"Retry-After": "IN 30 SECONDS"},
    ],
    ids=["seconds", "milliseconds", "date"],
)
async def test_retry_after_is_honoured(headers: dict[str, str]) -> None:
    if headers.get("Retry-After") == "IN 30 SECONDS":
        # A date is made now: many tests run between the collection and this one.
        headers = {"Retry-After": formatdate(time.time() + 30, usegmt=True)}
    async with FaultServer(error(429, "slow down", headers), answer("hi")) as server:
        opened = model(server)
        async with aclosing(opened.generate(TASK, [], Sampling())) as events:
            first = await anext(events)
        await opened.close()
    assert isinstance(first, Retrying)
    assert 0.3 <= first.seconds <= 31


async def test_the_pause_is_kept_before_the_next_request() -> None:
    start = time.monotonic()
    async with FaultServer(error(429, "x", {"Retry-After": "0.3"}), answer("hi")) as server:
        await turn(server)
    assert time.monotonic() - start >= 0.3


async def test_a_wait_that_is_too_long_is_said_at_once() -> None:
    problem = await failure(error(429, "daily limit", {"Retry-After": "86400"}))
    assert "asks to wait 86400 s" in problem.message
    assert "greenroom resume" in problem.hint


async def test_spent_credit_is_not_waited_for() -> None:
    quota = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    problem = await failure(error(429, quota))
    assert "You exceeded your quota" in problem.message


async def test_a_server_loading_its_model_is_waited_for() -> None:
    loading = error(503, "Loading model")
    async with FaultServer(*[loading] * 8, answer("hi")) as server:
        events, done = await turn(server)
    assert done.message.text == "hi"
    assert len(reasons(events)) == 8


async def test_an_error_within_the_stream_is_an_error() -> None:
    broken = {"error": {"message": "CUDA out of memory", "code": 500}}
    steps = stream(sse(delta(content="half"), broken))
    async with FaultServer(steps, answer("hi")) as server:
        events, done = await turn(server)
    assert "CUDA out of memory" in reasons(events)[0]
    assert done.message.text == "hi"
    named = stream(b'event: error\ndata: {"message": "boom"}\n\n')
    assert "boom" in (await failure(named)).message


# What breaks and stays broken.


async def test_nobody_listening_says_what_to_start() -> None:
    async with FaultServer(answer()) as server:
        address = server.base_url
    opened = open_model("ollama:m", ModelSettings(base_url=address), {})
    with pytest.raises(ModelError) as caught:
        await opened.prepare()
    await opened.close()
    assert f"nothing answers at {address}" in caught.value.message
    assert "`ollama serve`" in caught.value.hint


async def test_a_server_that_answered_before_is_waited_for() -> None:
    async with FaultServer(answer("hi")) as server:
        opened = model(server)
        async for _event in opened.generate(TASK, [], Sampling()):
            pass
    events: list[Event] = []
    with pytest.raises(ModelError, match="asked 3 times"):
        await collect(opened, events)
    await opened.close()
    assert len(reasons(events)) == 2


async def test_an_unknown_host_is_named() -> None:
    settings = ModelSettings(base_url="http://no-such-host.invalid/v1")
    opened = open_model("openai:m", settings, {})
    with pytest.raises(ModelError, match=r"no-such-host\.invalid"):
        await opened.prepare()
    await opened.close()


async def test_tls_spoken_to_a_plain_server_is_explained() -> None:
    async with FaultServer(answer()) as server:
        opened = model(server, base_url=server.base_url.replace("http:", "https:"))
        with pytest.raises(ModelError) as caught:
            await opened.prepare()
        await opened.close()
    assert "no secure connection" in caught.value.message
    assert "http://" in caught.value.hint


async def test_certificates_are_trusted_as_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certified(tmp_path)
    async with FaultServer(answer("hi"), tls=context) as server:
        opened = model(server)
        with pytest.raises(ModelError, match="no secure connection") as caught:
            await opened.prepare()
        await opened.close()
        assert "SSL_CERT_FILE" in caught.value.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        _, done = await turn(server)
    assert done.message.text == "hi"


async def test_a_server_elsewhere_is_reached_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with FaultServer(answer("hi")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.root)
        monkeypatch.setenv("http_proxy", proxy.root)
        _, done = await turn(proxy, base_url="http://model.test/v1")
    assert done.message.text == "hi"
    assert proxy.requests[0].path == "http://model.test/v1/chat/completions"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_names_its_variable(status: int) -> None:
    reply = error(status, f"Incorrect API key provided: {KEY[:8]}********cdef")
    problem = await failure(reply, key=KEY)
    assert "the key in OPENAI_API_KEY" in problem.message
    assert KEY[:11] not in str(problem)
    assert "OPENAI_API_KEY" in (await failure(reply)).hint


@pytest.mark.parametrize(
    "reply",
    [
        error(404, "The model `m` does not exist"),
        error(400, {"detail": "Server is pinned to 'big'; requested 'm'."}),
    ],
)
async def test_an_unknown_model_lists_what_the_server_has(reply: Reply) -> None:
    async with FaultServer(reply, models=["big", "mm"]) as server:
        with pytest.raises(ModelError) as caught:
            await turn(server, name="ollama:m")
    assert "has no model 'm'" in caught.value.message
    assert "It has: mm, big." in caught.value.hint
    assert "ollama pull m" in caught.value.hint


async def test_a_route_that_is_missing_points_at_the_address() -> None:
    async with FaultServer(error(404, {"detail": "Not Found"})) as server:
        opened = model(server, base_url=server.root + "/other")
        with pytest.raises(ModelError) as caught:
            async for _event in opened.generate(TASK, [], Sampling()):
                pass
        await opened.close()
    assert "/v1" in caught.value.hint


@pytest.mark.parametrize("status", [200, 404])
async def test_a_web_page_is_not_a_model(status: int) -> None:
    problem = await failure(page(status))
    assert "web page" in problem.message
    assert "--base-url" in problem.hint


async def test_a_redirect_is_named_and_not_followed() -> None:
    problem = await failure(
        Reply(status=301, headers={"Location": "https://x.test/v1"}, whole=True)
    )
    assert "redirects to https://x.test/v1" in problem.message


async def test_what_is_no_json_is_said() -> None:
    text = Reply([b"<<not json>>"], headers={"Content-Type": "application/json"}, whole=True)
    assert "no JSON" in (await failure(text)).message


async def test_a_port_that_speaks_no_http_is_an_error() -> None:
    problem = await failure(Reply([b"SSH-2.0-OpenSSH_9.2\r\n", "close"], raw=True))
    assert "connection broke" in problem.message


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            400,
            "This model's maximum context length is 8192 tokens. However, your messages resulted"
            " in 9000 tokens.",
        ),
        (400, "The decoder prompt (length 9000) is longer than the maximum model length of 8192."),
        (400, "the request exceeds the available context size, try increasing it"),
        (500, "Context size has been exceeded."),
        (400, "Trying to keep the first 111490 tokens when context the overflows."),
        (400, "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, "The input token count (9) exceeds the maximum number of tokens allowed (8)."),
        (400, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
        (422, "`inputs` tokens + `max_new_tokens` must be <= 4096."),
        (413, ""),
    ],
)
async def test_a_context_overflow_is_told_apart(status: int, said: str) -> None:
    assert isinstance(await failure(error(status, said)), ContextOverflow)


async def test_an_overflow_that_comes_with_a_success_for_a_status_is_one() -> None:
    data = {"error": {"message": "Context size has been exceeded."}}
    assert isinstance(await failure(document(data)), ContextOverflow)
    assert isinstance(await failure(stream(sse(data))), ContextOverflow)


async def test_an_empty_answer_at_the_end_of_the_window_is_an_overflow() -> None:
    reply = stream(sse(delta("stop"), usage(4096, 0), "[DONE]"))
    assert isinstance(await failure(reply, context_window=4096), ContextOverflow)


async def test_a_server_without_tool_calls_says_how_to_turn_them_on() -> None:
    said = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    problem = await failure(error(400, said))
    assert "no tool calls" in problem.message


# Time and size.


async def test_a_slow_first_token_is_said_with_the_time() -> None:
    reply = stream(sse(delta(role="assistant")), b": ping\n\n", "hang")
    problem = await failure(reply, first_token_timeout=0.2)
    assert "no token from" in problem.message
    assert "within 0 s" in problem.message
    late = Reply([0.5])
    assert "no token from" in (await failure(late, first_token_timeout=0.2)).message


async def test_an_answer_that_stands_still_is_asked_once_more() -> None:
    standing = stream(sse(delta(content="half")), "hang")
    async with FaultServer(standing, answer("hi")) as server:
        events, done = await turn(server, chunk_timeout=0.2)
    assert "stood still for 0.2 s" in reasons(events)[0]
    assert done.message.text == "hi"
    assert "stood still" in (await failure(standing, chunk_timeout=0.1)).message


async def test_a_slow_reader_is_not_a_slow_server() -> None:
    async with FaultServer(answer("", *(delta(content="x") for _ in range(3)))) as server:
        opened = model(server, chunk_timeout=0.1)
        async for event in opened.generate(TASK, [], Sampling()):
            assert not isinstance(event, Retrying)
            await asyncio.sleep(0.15)
        await opened.close()


async def test_an_answer_that_never_ends_is_cut_at_the_output_limit() -> None:
    async with FaultServer(stream(sse(delta(content="word " * 20)), "forever")) as server:
        events, done = await turn(server, sampling=Sampling(max_output_tokens=50))
        assert done.finish == "length"
        assert 400 < len(done.message.text) < 600
        assert done.usage.estimated
        await asyncio.sleep(0.05)
        assert server.aborted == 1
    assert not reasons(events)


async def test_a_call_that_never_ends_is_cut_too() -> None:
    endless = delta(tool_calls=[{"index": 0, "function": {"arguments": "x" * 100}}])
    steps = stream(sse(call("shell", "{")), sse(endless), "forever")
    async with FaultServer(steps) as server:
        _, done = await asyncio.wait_for(turn(server, sampling=Sampling(max_output_tokens=50)), 10)
    assert "Your call of shell was cut off" in done.problem


async def test_a_turn_that_takes_too_long_is_cut() -> None:
    slow: list[Step] = [sse(delta(content="a")), 0.05] * 100
    async with FaultServer(stream(*slow)) as server:
        _, done = await turn(server, turn_timeout=0.4)
    assert done.finish == "cut"
    assert "cut off after" in done.problem
    assert done.message.text.startswith("aa")


async def test_a_turn_that_falls_silent_is_cut_when_its_time_is_over() -> None:
    async with FaultServer(stream(sse(delta(content="a")), "hang")) as server:
        _, done = await asyncio.wait_for(turn(server, turn_timeout=0.3), 5)
    assert (done.finish, done.message.text) == ("cut", "a")


async def test_pings_without_an_answer_do_not_last_for_ever() -> None:
    problem = await failure(stream(b": ping\n\n", "forever"), first_token_timeout=0.3)
    assert "no token" in problem.message


async def test_a_line_without_end_is_refused() -> None:
    problem = await failure(stream(b"data: " + b"x" * (1 << 20), "forever"))
    assert "more than" in problem.message


async def test_an_answer_needs_no_announced_end_once_it_gave_its_reason() -> None:
    steps: list[Step] = [sse(delta(content="hi")), sse(delta("stop"), usage(1, 1)), "hang"]
    async with FaultServer(stream(*steps)) as server:
        start = time.monotonic()
        _, done = await turn(server)
    assert done.message.text == "hi"
    assert time.monotonic() - start < 3


async def test_what_follows_the_announced_end_is_left() -> None:
    steps: list[Step] = [
        sse(delta(content="hi"), delta("stop"), "[DONE]", delta(content="!")),
        "forever",
    ]
    async with FaultServer(stream(*steps)) as server:
        _, done = await asyncio.wait_for(turn(server), 5)
    assert done.message.text == "hi"


async def test_bytes_that_are_no_utf8_do_not_lose_the_answer() -> None:
    raw = b'data: {"choices": [{"delta": {"content": "a\xffb"}}]}\n\n'
    async with FaultServer(stream(raw, sse(delta("stop"), "[DONE]"))) as server:
        _, done = await turn(server)
    assert done.message.text == "a\ufffdb"


async def test_events_without_empty_lines_between_them_are_read() -> None:
    lines = sse(delta(content="a"), delta(content="b"), delta("stop")).replace(b"\n\n", b"\n")
    async with FaultServer(stream(lines + b"\n")) as server:
        _, done = await turn(server)
    assert done.message.text == "ab"


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


async def test_candidates_are_turns_with_seeds_counted_up() -> None:
    async with FaultServer(answer("hi")) as server:
        opened = model(server)
        found = [done async for done in opened.candidates(TASK, [], Sampling(seed=3), 3)]
        await opened.close()
    assert len(found) == 3
    assert [request.json["seed"] for request in server.requests] == [3, 4, 5]
