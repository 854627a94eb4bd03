import asyncio
import gzip
import time
from contextlib import aclosing
from email.utils import formatdate
from pathlib import Path

import pytest

from agent.models import probe
from agent.models.base import (
    ContextOverflow,
    Event,
    ModelError,
    Retrying,
    Sampling,
    TextDelta,
)
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from tests.agent.models.asking import (
    KEY,
    TASK,
    certified,
    collect,
    failure,
    model,
    reasons,
    turn,
)
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
    assert "own log" in problem.hint


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
    assert "Try again later" in problem.hint


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


async def test_a_server_that_is_not_openais_says_how_it_gets_a_key() -> None:
    problem = await failure(error(401, "Unauthorized"), name="vllm:m", key=KEY)
    assert "wants a key" in problem.message
    assert "--api-key-variable VLLM_API_KEY" in problem.hint
    assert "OPENAI_API_KEY" not in problem.hint


@pytest.mark.parametrize(("status", "asked"), [(401, 0), (403, 1)])
async def test_a_key_that_is_refused_for_the_list_ends_it_there(status: int, asked: int) -> None:
    barred = {"/v1/models": error(status, "no")}
    async with FaultServer(answer("hi"), routes=barred) as server:
        opened = model(server)
        try:
            await opened.prepare()
        except ModelError as problem:
            assert "wants a key" in problem.message
            assert not asked
        else:
            assert asked  # a key may be barred from the list alone
        await opened.close()
    assert not server.requests


@pytest.mark.parametrize(
    ("name", "missing"),
    [("vllm:m", True), ("ollama:m", True), ("ollama:mm", False), ("ollama:Big", False)],
)
async def test_a_name_that_is_not_listed_is_told_before_any_turn(name: str, missing: bool) -> None:
    async with FaultServer(models=["big:latest", "mm"]) as server:
        opened = model(server, name)
        told = ""
        try:
            await opened.prepare()
        except ModelError as problem:
            told = f"{problem.message} {problem.hint}"
        await opened.close()
    assert ("has no model 'm'" in told and "mm, big:latest" in told) == missing


@pytest.mark.parametrize(("name", "said"), [("openai:m", 1), ("llamacpp:m", 0)])
async def test_a_name_that_may_be_an_alias_is_only_said(name: str, said: int) -> None:
    notes: list[str] = []
    async with FaultServer(models=["big"]) as server:
        opened = model(server, name)
        await opened.prepare(notes.append)
        await opened.close()
    assert len([note for note in notes if "m is not among the models" in note]) == said


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


async def test_why_a_stream_ended_before_it_began_is_asked_without_one() -> None:
    said = "This model's maximum context length is 1024 tokens. However, you requested 3031 tokens"
    problem = await failure(stream(), error(400, f"{said} (3031 in the messages)."))
    assert isinstance(problem, ContextOverflow)
    whole = document({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})
    async with FaultServer(stream(), whole) as server:
        _, done = await turn(server)
    assert done.message.text == "hi"
    streamed = [request.json["stream"] for request in server.requests]
    assert streamed == [True, False]
    assert "stream_options" not in server.requests[1].json


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


async def test_a_compressed_answer_is_refused_before_it_unfolds() -> None:
    bomb = gzip.compress(gzip.compress(bytes(200 << 20)))
    headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip, gzip"}
    problem = await failure(Reply([bomb], headers=headers, whole=True))
    assert "compresses its answer (gzip, gzip)" in problem.message


async def test_no_compression_is_asked_for() -> None:
    async with FaultServer(answer("hi")) as server:
        await turn(server)
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_a_list_of_models_that_drips_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "QUICK", 0.5)
    drip = Reply([b"{", *[step for _ in range(40) for step in (0.1, b" ")]])
    start = time.monotonic()
    async with FaultServer(answer("hi"), routes={"/v1/models": drip}) as server:
        _, done = await turn(server)
    assert done.message.text == "hi"
    assert time.monotonic() - start < 3


async def test_an_echoed_key_is_not_shown_in_pieces_either() -> None:
    halves = delta(content=f"your key: {KEY[:7]}"), delta(content=f"{KEY[7:]}.")
    async with FaultServer(stream(sse(*halves, delta(finish="stop"), "[DONE]"))) as server:
        events, done = await turn(server, key=KEY)
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert shown == done.message.text == "your key: [key]."
