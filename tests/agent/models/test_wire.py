import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from agent.models.base import Sampling
from agent.models.wire import Dialect, messages, request_body, sound_arguments

CALL = ToolCall("c1", "shell", '{"command": "ls"}')


def written(*conversation: Message, dialect: Dialect | None = None) -> list[dict[str, Any]]:
    return messages(conversation, dialect or Dialect(reasoning="reasoning"))


def test_every_kind_of_message_has_its_role() -> None:
    assert written(
        SystemMessage("s"), UserMessage("u"), AssistantMessage("a", calls=(CALL,)),
        ToolMessage("c1", "shell", "out"),
    ) == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {
            "role": "assistant",
            "content": "a",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "shell", "arguments": '{"command": "ls"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "out"},
    ]  # fmt: skip


def test_users_messages_in_a_row_become_one_and_empty_answers_vanish() -> None:
    assert written(UserMessage("a"), AssistantMessage(), UserMessage("b", "notice")) == [
        {"role": "user", "content": "a\n\nb"}
    ]


def test_a_call_without_a_result_gets_one() -> None:
    tail = written(AssistantMessage(calls=(CALL,)), UserMessage("next"))[1:]
    assert [message["role"] for message in tail] == ["tool", "user"]
    assert written(AssistantMessage(calls=(CALL,)))[-1]["tool_call_id"] == "c1"


def test_a_result_without_a_call_is_left_out() -> None:
    assert written(UserMessage("a"), ToolMessage("c9", "shell", "x")) == [
        {"role": "user", "content": "a"}
    ]


def test_an_answer_of_reasoning_alone_is_kept_within_its_turn() -> None:
    thought = AssistantMessage(reasoning="r")
    assert written(UserMessage("a"), thought)[1:] == [
        {"role": "assistant", "content": "", "reasoning": "r"}
    ]
    assert written(UserMessage("a"), thought, UserMessage("b")) == [
        {"role": "user", "content": "a\n\nb"}
    ]


def test_reasoning_is_dropped_where_the_server_refused_it() -> None:
    dialect = Dialect(reasoning="reasoning_content")
    assert dialect.learn("Additional properties are not allowed: 'reasoning_content'")
    assert "reasoning_content" not in written(AssistantMessage("a", "r"), dialect=dialect)[0]


@pytest.mark.parametrize("arguments", ["{", "", "[1]", '"text"', "[" * 100_000])
def test_arguments_that_are_no_object_become_one(arguments: str) -> None:
    assert json.loads(sound_arguments(arguments)) == {"unparsed": arguments}


def test_a_malformed_call_goes_back_in_a_form_that_every_server_can_parse() -> None:
    call = ToolCall("c1", "shell", '{"command": ')
    function = written(AssistantMessage(calls=(call,)))[0]["tool_calls"][0]["function"]
    assert json.loads(function["arguments"]) == {"unparsed": '{"command": '}


def test_sound_arguments_are_not_touched() -> None:
    assert sound_arguments('{"a":  1}') == '{"a":  1}'


def test_half_surrogates_do_not_break_the_request() -> None:
    body = request_body("m", [UserMessage("a\udcffb")], [], Sampling(), Dialect())
    assert json.loads(body)["messages"][0]["content"] == "a?b"


@pytest.mark.parametrize("said", ["bad temperature", "no", "reasoning_effort is not supported"])
def test_a_refusal_that_concerns_nothing_of_ours_teaches_nothing(said: str) -> None:
    assert not Dialect().learn(said)


def test_the_same_refusal_twice_teaches_nothing_new() -> None:
    dialect = Dialect()
    assert dialect.learn("unknown field stream_options")
    assert not dialect.learn("unknown field stream_options")


_IDS = st.sampled_from(["a", "b", "c"])
_CALLS = st.lists(_IDS, max_size=3, unique=True).map(
    lambda ids: tuple(ToolCall(call_id, "shell", "{}") for call_id in ids)
)
_MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(UserMessage, st.just("u")),
    st.builds(AssistantMessage, st.sampled_from(["", "t"]), st.sampled_from(["", "r"]), _CALLS),
    st.builds(ToolMessage, _IDS, st.just("shell"), st.just("out")),
)


@settings(deadline=None)
@given(st.lists(_MESSAGES, max_size=10))
def test_any_conversation_is_sound_for_a_template(conversation: list[Message]) -> None:
    result = messages(conversation, Dialect(reasoning="reasoning"))
    waiting: set[str] = set()
    previous = ""
    for message in result:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting
        if message["role"] == "user":
            assert previous != "user"
        if message["role"] == "assistant":
            assert message["content"] or len(message) > 2
            waiting = {call["id"] for call in message.get("tool_calls", ())}
        previous = message["role"]
    assert not waiting
