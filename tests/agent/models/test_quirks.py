"""The fifteen quirks of gpt-oss and its servers, as a client sees them over HTTP.

Each is numbered as in docs/models.md and replays what the servers were reported to send. A turn has
to end sound, or with a problem in words for the model, or with one clear error.
"""

import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from agent.conversation import (
    AssistantMessage,
    Conversation,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from agent.models.base import (
    CallStarted,
    ContextOverflow,
    Event,
    ReasoningCut,
    Retrying,
    Sampling,
    TurnDone,
)
from agent.monitor import Bounds, Monitor
from agent.retrying import RetriedModel
from agent.watching import WatchedModel
from tests.agent.models.asking import TASK, model, reasons
from tests.faults.server import (
    FaultServer,
    Reply,
    answer,
    call,
    delta,
    document,
    error,
    sse,
    stream,
    usage,
)
from tools.tool import Toolbox
from tools.toolsets import toolset

TOOLS = Toolbox(toolset("generic").tools).specs
ACTS = answer("", call("shell", {"command": "ls"}), delta("tool_calls"))
LS = [("shell", '{"command": "ls"}')]


async def taken(
    *replies: Reply,
    name: str = "openai:m",
    conversation: Conversation = TASK,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    **more: Any,
) -> tuple[list[Event], TurnDone, list[Any]]:
    """The events of a turn, its end, and the bodies of its requests."""
    async with FaultServer(*replies, **more) as server:
        opened = model(server, name)
        try:
            events = [event async for event in opened.generate(conversation, TOOLS, sampling)]
        finally:
            await opened.close()
        done = events.pop()
        assert isinstance(done, TurnDone)
        return events, done, [request.json for request in server.requests]


def calls(done: TurnDone) -> list[tuple[str, str]]:
    return [(made.name, made.arguments) for made in done.message.calls]


def in_stream(message: str, code: int) -> Reply:
    """An error in the middle of an answer, as vLLM sends it."""
    failed = {"error": {"message": message, "type": "BadRequestError", "param": None, "code": code}}
    return stream(
        sse(delta(role="assistant", content=""), delta(reasoning="Need"), failed, "[DONE]")
    )


# 1, 2, 3, 7, 8: the server could not read what the model wrote.

UNREAD = {
    "1 vLLM, in the stream": in_stream(
        "Unexpected token 12606 while expecting start token 200006", 400
    ),
    "1 vLLM, instead of a stream": error(
        500, "Unexpected token 200002 while expecting start token 200006"
    ),
    "2 vLLM": in_stream(
        'unexpected tokens remaining in message header: Some("to=functions.shell json")', 400
    ),
    "2 harmony": error(
        500, "openai_harmony.HarmonyError: channel marker present but no channel value found"
    ),
    "3 llama.cpp, at the end of the stream": stream(
        sse(
            delta(role="assistant", content=None),
            delta(reasoning_content="We"),
            {
                "error": {
                    "code": 500,
                    "message": "The model produced output that does not match the expected"
                    " peg-native format",
                    "type": "server_error",
                }
            },
        )
    ),
    "3 llama.cpp, in a field of its own": stream(
        sse(delta(role="assistant", content=None)),
        b'error: {"code":500,"message":"Failed to parse input at pos 11: <|channel|>??",'
        b'"type":"server_error"}\n\n',
    ),
    "7 Ollama, broken JSON": error(
        500,
        {
            "error": {
                "message": "error parsing tool call: raw='ls -R\\n', err=invalid character 'l'"
                " looking for beginning of value",
                "type": "api_error",
                "param": None,
                "code": None,
            }
        },
    ),
    "7 Ollama, a trailing bracket": error(
        500, {"error": 'error parsing tool call: raw=\'{"input":"*** Begin Patch"}]\', err='}
    ),
    "8 llama.cpp, a bare final": error(
        500,
        {
            "error": {
                "code": 500,
                "message": "Failed to parse input at pos 0: All tests pass now.",
                "type": "server_error",
            }
        },
    ),
}


@pytest.mark.parametrize("reply", UNREAD.values(), ids=UNREAD)
async def test_1_2_3_7_8_what_the_server_could_not_read_is_asked_again(reply: Reply) -> None:
    events, done, bodies = await taken(reply, ACTS)
    assert "could not read the model's tool call" in reasons(events)[0]
    assert calls(done) == LS
    assert not done.problem
    assert not done.message.reasoning
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("reply", UNREAD.values(), ids=UNREAD)
async def test_1_2_3_7_8_and_given_up_as_a_turn_not_as_an_outage(reply: Reply) -> None:
    events, done, bodies = await taken(reply)
    assert len(reasons(events)) == 2
    assert len(bodies) == 3
    assert done.problem.startswith("Your tool call was not valid")


async def test_3_the_last_try_is_sampled_cooler() -> None:
    bad = UNREAD["3 llama.cpp, at the end of the stream"]
    _, _, bodies = await taken(bad)
    assert [body.get("temperature") for body in bodies] == [None, None, 0.6]
    _, _, bodies = await taken(bad, sampling=Sampling(temperature=0.5, seed=1))
    assert [(b["temperature"], b["seed"]) for b in bodies] == [(0.5, 1), (0.5, 2), (0.3, 3)]


# 4, 5: names.


@pytest.mark.parametrize(
    ("name", "arguments", "meant"),
    [
        ("assistant<|channel|>analysis", {"command": "./test"}, "shell"),
        ("assistant<|channel|>commentary", {"path": "a", "content": "b"}, "write_file"),
        ("shell<|channel|>commentary", {"command": "ls"}, "shell"),
        ("functions.shell<|constrain|>json", {"command": "ls"}, "shell"),
        ("commentary", {"command": "ls"}, "shell"),
        ("", {"command": "ls"}, "shell"),
    ],
)
async def test_4_a_name_of_marks_is_the_one_tool_that_the_arguments_fit(
    name: str, arguments: dict[str, str], meant: str
) -> None:
    _, done, _ = await taken(answer("", call(name, arguments), delta("tool_calls")))
    assert calls(done) == [(meant, json.dumps(arguments))]
    assert not done.problem


@pytest.mark.parametrize("arguments", [{}, {"path": "a.py"}, {"odd": 1}, "no json"])
async def test_4_and_no_tool_where_several_fit_or_none(arguments: object) -> None:
    name = "assistant<|channel|>analysis"
    one, two = TOOLS[0], TOOLS[4]
    assert {one.name, two.name} == {"read_file", "search"}
    _, done, _ = await taken(answer("", call(name, arguments), delta("tool_calls")))
    assert calls(done)[0][0] in {name, "read_file"}
    if arguments != {"path": "a.py"}:
        assert calls(done)[0][0] == name


async def test_5_a_bare_name_is_the_tool() -> None:
    for name in ("shell", "functions.shell"):
        _, done, _ = await taken(answer("", call(name, {"command": "ls"}), delta("stop")))
        assert calls(done) == LS


async def test_5_a_call_lost_on_the_analysis_channel_is_a_malformed_turn() -> None:
    lost = stream(sse(delta(reasoning='{"command": "ls"}'), delta("stop"), usage(50, 12), "[DONE]"))
    _, done, _ = await taken(lost)
    assert done.problem.startswith("You thought, but neither answered nor called a tool")


# 6: an answer that was lost.


@pytest.mark.parametrize("content", [None, "", "\n"])
@pytest.mark.parametrize("streamed", [True, False])
async def test_6_a_lost_answer_is_malformed_and_says_what_was_lost(
    content: str | None, streamed: bool
) -> None:
    counts = {"prompt_tokens": 80, "completion_tokens": 57, "total_tokens": 137}
    if streamed:
        said = delta(role="assistant", content=content), delta("stop"), usage(80, 57), "[DONE]"
        reply = stream(sse(*said))
    else:
        message = {"role": "assistant", "content": content, "reasoning": None, "tool_calls": []}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        reply = document({"choices": [choice], "usage": counts})
    _, done, _ = await taken(reply)
    assert "57 tokens were lost" in done.problem


LOST = stream(sse(delta(role="assistant", content=None), delta("stop"), usage(80, 57), "[DONE]"))
ON_ANALYSIS = stream(sse(delta(reasoning='{"command": "ls"}'), delta("stop"), usage(50, 12)))


@pytest.mark.parametrize("bad", [LOST, ON_ANALYSIS], ids=["6 lost", "5 on analysis"])
async def test_5_6_a_malformed_turn_is_asked_for_again_from_the_same_prompt(bad: Reply) -> None:
    async with FaultServer(bad, ACTS) as server:
        opened = RetriedModel(model(server), Toolbox(toolset("generic").tools), 2)
        async with aclosing(opened.generate(TASK, TOOLS, Sampling())) as turn:
            events = [event async for event in turn]
        await opened.close()
    done = events[-1]
    assert isinstance(done, TurnDone)
    assert calls(done) == LS
    assert len(done.malformed) == 1
    first, second = (request.json["messages"] for request in server.requests)
    assert first == second


# 9, 10: reasoning.

THOUGHT = (
    *TASK,
    AssistantMessage(reasoning="I look first.", calls=(ToolCall("c1", "shell", LS[0][1]),)),
    ToolMessage("c1", "shell", "a.py"),
)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_9_either_field_is_read(field: str) -> None:
    _, done, _ = await taken(answer("", delta(**{field: "hm"}), delta(content="ok")))
    assert (done.message.reasoning, done.message.text) == ("hm", "ok")


@pytest.mark.parametrize(
    ("name", "field"),
    [("vllm:m", "reasoning"), ("sglang:m", "reasoning_content"), ("mlx:m", "reasoning")],
)
async def test_9_10_reasoning_goes_back_in_the_tool_loop_in_the_servers_own_field(
    name: str, field: str
) -> None:
    _, _, [body] = await taken(answer(), name=name, conversation=THOUGHT)
    assert body["messages"][2][field] == "I look first."


# 11: escaped twice.


async def test_11_arguments_escaped_twice_are_unwrapped_and_sent_back_plain() -> None:
    twice = json.dumps(json.dumps({"command": "ls"}))
    _, done, _ = await taken(answer("", call("shell", twice), delta("tool_calls")))
    assert calls(done) == LS
    history = (*TASK, AssistantMessage(calls=(ToolCall("c1", "shell", twice),)))
    _, _, [body] = await taken(answer(), conversation=history)
    assert body["messages"][2]["tool_calls"][0]["function"]["arguments"] == LS[0][1]


# 12, 13: the tools.


def test_12_no_function_has_the_name_of_a_tool_that_gpt_oss_has_built_in() -> None:
    built_in = {"python", "browser", "bash", "container", "exec", "apply", "code", "cot"}
    assert not built_in & {spec.name.lower() for spec in TOOLS}


async def test_13_several_calls_are_taken_in_order() -> None:
    pieces = [call("read_file", {"path": f"{n}.py"}, f"c{n}", n) for n in range(2)]
    _, done, bodies = await taken(answer("", *pieces, delta("tool_calls")))
    assert [json.loads(text)["path"] for _, text in calls(done)] == ["0.py", "1.py"]
    # Nobody is asked for several: whether a server takes the word is not known.
    assert "parallel_tool_calls" not in bodies[0]


# 14: a call that did not end the turn.

INVENTED = (
    "<|channel|>analysis<|message|>Need to look.<|end|><|start|>assistant<|channel|>commentary"
    ' to=functions.shell <|constrain|>json<|message|>{"command": "ls"}<|call|>'
    "<|start|>functions.shell to=assistant<|channel|>commentary<|message|>a.py<|end|>"
    "<|start|>assistant<|channel|>final<|message|>The file is a.py.<|return|>"
)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_14_what_follows_a_call_in_raw_harmony_is_discarded(size: int) -> None:
    pieces = [INVENTED[at : at + size] for at in range(0, len(INVENTED), size)]
    said = [delta(content=piece) for piece in pieces]
    events, done, _ = await taken(stream(sse(*said, delta("stop"), usage(9, 99), "[DONE]")))
    assert calls(done) == LS
    assert (done.message.reasoning, done.message.text) == ("Need to look.", "")
    assert (done.finish, done.problem) == ("calls", "")
    assert CallStarted(0, "shell") in events


async def test_14_and_the_server_is_stopped_there() -> None:
    calling = INVENTED[: INVENTED.index("<|call|>") + 8]
    endless = stream(sse(delta(content=calling)), sse(delta(content="invented ")), "forever")
    async with FaultServer(endless) as server:
        opened = model(server)
        events = [event async for event in opened.generate(TASK, TOOLS, Sampling())]
        await opened.close()
    done = events[-1]
    assert isinstance(done, TurnDone)
    assert calls(done) == LS
    assert server.aborted == 1


@pytest.mark.parametrize(
    ("text", "called", "reasoning", "said"),
    [
        (
            ' to=functions.shell<|channel|>commentary json<|message|>{"command": "ls"}',
            LS,
            "",
            "",
        ),
        ("<|channel|>final<|message|>Done.<|return|>", [], "", "Done."),
        ("<|channel|>analysis<|message|>Hm", [], "Hm", ""),
        ('<think>Hm</think><tool_call>{"name": "shell", "arguments": {"command": "ls"}}'
         "</tool_call>", LS, "Hm", ""),
        ('I look.\n```json\n{"name": "shell", "arguments": {"command": "ls"}}\n```',
         LS, "", "I look."),
        ('The tag <think> opens a thought.', [], "", "The tag <think> opens a thought."),
        ('```json\n{"a": 1}\n```', [], "", '```json\n{"a": 1}\n```'),
    ],
)  # fmt: skip
async def test_14_turns_that_a_server_did_not_read_are_read_here(
    text: str, called: list[tuple[str, str]], reasoning: str, said: str
) -> None:
    _, done, _ = await taken(answer(text))
    assert (calls(done), done.message.reasoning, done.message.text) == (called, reasoning, said)


# 15: loops, and a context that is cut without a word.


async def test_15_a_loop_is_cut_at_the_server_and_the_turn_goes_on() -> None:
    loop = sse(delta(reasoning="Maybe the test is wrong, so I look at the test again. "))
    async with FaultServer(stream(loop, "forever"), ACTS) as server:
        opened = model(server, "vllm:m")
        watched = WatchedModel(opened, Monitor(Bounds()))
        async with aclosing(watched.generate(TASK, TOOLS, Sampling())) as turn:
            events = [event async for event in turn]
        await opened.close()
        assert server.aborted == 1
    done = events[-1]
    assert isinstance(done, TurnDone)
    assert calls(done) == LS
    assert [e.reason for e in events if isinstance(e, ReasoningCut)] == ["loop"]
    assert not [e for e in events if isinstance(e, Retrying)]


async def test_15_a_prompt_that_ollama_would_cut_is_not_sent() -> None:
    routes = {
        "/api/version": document({"version": "0.9.0"}),
        "/api/ps": document({"models": [{"name": "m:latest", "context_length": 4096}]}),
    }
    long: Sequence[Any] = (SystemMessage("s"), UserMessage("x" * 40_000))
    with pytest.raises(ContextOverflow, match="window 4096"):
        await taken(answer(), name="ollama:m", conversation=long, routes=routes)
