"""What a server should never send: numbers that lie, JSON without bottom, keys given back."""

from collections.abc import Sequence
from contextlib import aclosing

import pytest

from agent.conversation import ToolCall
from agent.models import probe
from agent.models.base import Model, ModelError, Sampling, TextDelta
from agent.models.failures import error_text
from agent.models.harmony import HarmonyDialect
from agent.models.ollama import as_chunk
from agent.models.raw_wire import LlamaCppWire, VllmWire
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from tests.agent.models.asking import KEY, TASK, failure, turn
from tests.faults.server import FaultServer, Reply, answer, call, delta, sse, stream, usage

HUGE = "9" * 4000
END = sse(delta(finish="stop"), usage(11, 3), "[DONE]")


def event(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


def piece(fields: str) -> bytes:
    return event(f'{{"choices":[{{"index":0,"delta":{{{fields}}}}}]}}')


async def test_counts_that_no_model_reaches_are_none() -> None:
    counts = f'{{"choices":[],"usage":{{"prompt_tokens":{HUGE},"completion_tokens":{HUGE}}}}}'
    reply = stream(sse(delta(content="hi")), event(counts), sse(delta(finish="stop"), "[DONE]"))
    async with FaultServer(reply) as server:
        done = (await turn(server))[1]
    assert done.usage.estimated
    assert done.usage.total_tokens < 1000


@pytest.mark.parametrize("value", [HUGE, "NaN", "1e999", "-5"])
async def test_times_that_are_none_are_left_out(value: str) -> None:
    timings = f'{{"choices":[],"timings":{{"prompt_ms":{value},"predicted_ms":5}}}}'
    async with FaultServer(stream(sse(delta(content="hi")), event(timings), END)) as server:
        done = (await turn(server))[1]
    assert "prompt_seconds" not in done.timings
    assert done.timings["output_seconds"] == 0.005


def test_ollamas_times_fit_into_numbers() -> None:
    chunk = as_chunk({"done": True, "eval_duration": 10**400})
    assert chunk["timings"]["predicted_ms"] > 0


@pytest.mark.parametrize("value", [0, -1, True, "32768", 1e5, 10**400, None])
def test_a_window_that_is_none_is_not_told(value: object) -> None:
    assert probe.positive({"n": value}, "n") is None


def test_reused_tokens_that_are_no_count_are_not_told() -> None:
    told = {"choices": [], "usage": {"prompt_tokens_details": {"cached_tokens": 10**400}}}
    assert VllmWire("m", None).read(told | {"choices": [{"token_ids": []}]}).reused is None  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", [5, 400, 900, 3000])
async def test_content_without_bottom_is_read_as_far_as_makes_sense(depth: int) -> None:
    nested = '[{"type":"text","text":' * depth + '"x"' + "}]" * depth
    async with FaultServer(stream(piece(f'"content":{nested}'), END)) as server:
        done = (await turn(server))[1]
    assert done.message.text == ""
    assert done.problem


@pytest.mark.parametrize("depth", [400, 900, 3000])
async def test_arguments_and_errors_without_bottom_are_no_crash(depth: int) -> None:
    arguments = "[" * depth + "]" * depth
    call = f'"tool_calls":[{{"index":0,"function":{{"name":"shell","arguments":{arguments}}}}}]'
    async with FaultServer(stream(piece(call), END)) as server:
        await turn(server)
    nested = ('{"error":' * depth + "1" + "}" * depth).encode()
    kind = {"Content-Type": "application/json"}
    await failure(Reply([nested], 500, kind, whole=True), retries=0)
    await failure(stream(b"data: " + nested + b"\n\n"), retries=0)


def test_an_error_within_errors_is_found() -> None:
    assert error_text({"error": {"error": {"message": "boom"}}})[0] == "boom"


@pytest.mark.parametrize("call_id", ["\\ud800", "\\u001b[2J", "x" * 5000, KEY, "a\\nb"])
async def test_odd_ids_of_calls_are_replaced(call_id: str) -> None:
    function = '{"name":"shell","arguments":""}'
    call = f'"tool_calls":[{{"index":0,"id":"{call_id}","function":{function}}}]'
    async with FaultServer(stream(piece(call), END)) as server:
        done = (await turn(server, key=KEY))[1]
    assert done.message.calls == (ToolCall("call_1", "shell", "{}"),)


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
_PLACES: Sequence[Reply] = (
    Reply([b""], 302, {"Location": f"http://evil.example/?k={KEY}"}, whole=True),
    Reply([b"x"], 200, {"Content-Encoding": KEY}, whole=True),
    Reply([b"BLAH " + KEY.encode() + b"\r\n\r\n"], raw=True),
    Reply([_HEAD + b"Bad " + KEY.encode() + b"\r\n\r\n"], raw=True),
    Reply([_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + KEY.encode() + b"\r\n"], raw=True),
    Reply(
        [b'{"error":{"message":"bad key ' + KEY.replace("-", "\\u002d").encode() + b'"}}'],
        400,
        {"Content-Type": "application/json"},
        whole=True,
    ),
)


@pytest.mark.parametrize("reply", _PLACES, ids=lambda reply: str(reply.steps[0])[:24])
async def test_a_key_that_a_server_gives_back_is_in_no_error(reply: Reply) -> None:
    problem = await failure(reply, key=KEY, retries=0)
    assert KEY not in problem.message + (problem.hint or "")


async def test_secrets_of_an_address_are_in_no_error_either() -> None:
    password, token = "correct-horse-battery", "Zm9vYmFyYmF6cXV4"
    said = f"no route /v1/chat?api-key={token} for {password}"
    async with FaultServer(Reply([said.encode()], 418, {}, whole=True)) as server:
        address = server.base_url.replace("http://", f"http://me:{password}@") + f"?api-key={token}"
        opened = open_model("openai:m", ModelSettings(base_url=address, protocol="chat"), {})
        with pytest.raises(ModelError, match="no route") as caught:
            await _first(opened)
        await opened.close()
    assert password not in caught.value.message
    assert token not in caught.value.message


async def _first(opened: Model) -> None:
    async with aclosing(opened.generate(TASK, [], Sampling())) as events:
        async for _ in events:
            return


async def test_an_error_that_comes_by_drops_is_left_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.models.transport._ERROR_SECONDS", 0.3)
    head = b"HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\n\r\n"
    # Each drop comes well in time; all of them take half a minute.
    async with FaultServer(Reply([head, *[b"x", 0.1] * 300], raw=True)) as server:
        with pytest.raises(ModelError, match="fails with HTTP 500"):
            await turn(server, retries=0)
    assert server.aborted == 1


@pytest.mark.parametrize("address", ["http://xn--/", "http://exa\u200bmple.com", "http://a..b/"])
async def test_a_host_that_can_be_none_is_said(address: str) -> None:
    opened = open_model("openai:m", ModelSettings(base_url=address, retries=0), {})
    with pytest.raises(ModelError):
        await opened.prepare()
    await opened.close()


async def test_a_sound_answer_is_left_as_it_is() -> None:
    async with FaultServer(answer("fine")) as server:
        events, done = await turn(server, key=KEY)
    assert events == [TextDelta("fine")]
    assert done.message.text == "fine"


@pytest.mark.parametrize(
    "chunk", [{"choices": [{"text": "a" * 200_000}]}, {"content": " " * 200_000}]
)
def test_a_text_where_tokens_were_asked_for_has_an_end(chunk: dict[str, object]) -> None:
    wire = (VllmWire if "choices" in chunk else LlamaCppWire)("m", HarmonyDialect())
    with pytest.raises(ModelError, match="200,000 characters at once"):
        wire.read(chunk)


async def test_calls_without_end_are_left() -> None:
    flood = [call("shell", "", f"c{number}", number) for number in range(5000)]
    async with FaultServer(stream(sse(*flood), sse(delta(content=".")), "forever")) as server:
        done = (await turn(server))[1]
    assert len(done.message.calls) < 500
    assert server.aborted == 1
