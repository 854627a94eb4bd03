import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation import AssistantMessage, ToolSpec
from agent.models.assembly import Assembly
from agent.models.base import CallStarted, Event, ReasoningDelta, TextDelta, Usage
from agent.models.secret import Secret
from tests.faults.server import call, delta, usage

KNOWN = ("shell", "read_file", "finish")


def assemble(
    *chunks: dict[str, Any], taken: Iterable[str] = (), key: str = ""
) -> tuple[Assembly, list[Event]]:
    tools = [ToolSpec(name, "", {"type": "object"}) for name in KNOWN]
    assembly = Assembly(tools, set(taken), Secret("KEY", {"KEY": key}))
    events = [event for chunk in chunks for event in assembly.take(chunk)]
    return assembly, [*events, *assembly.close()]


def message(*chunks: dict[str, Any], taken: Iterable[str] = ()) -> AssistantMessage:
    return assemble(*chunks, taken=taken)[0].message()


def calls(*pieces: dict[str, Any]) -> list[tuple[str, str]]:
    made = message(*(delta(tool_calls=[piece]) for piece in pieces)).calls
    return [(call.name, call.arguments) for call in made]


def piece(index: int | None = None, **fields: Any) -> dict[str, Any]:
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    place = {} if index is None else {"index": index}
    return {**place, **fields, "function": function}


def test_text_and_reasoning_are_streamed_and_kept_apart() -> None:
    assembly, events = assemble(
        delta(reasoning="I "), delta(reasoning_content="think"), delta(content="so")
    )
    assert events == [ReasoningDelta("I "), ReasoningDelta("think"), TextDelta("so")]
    assert assembly.message() == AssistantMessage(text="so", reasoning="I think")
    assert assembly.reasoning_field == "reasoning_content"


def test_reasoning_in_both_fields_counts_once() -> None:
    both = delta(reasoning="same", reasoning_content="same")
    assert message(both).reasoning == "same"


def test_content_in_parts_is_text_and_reasoning() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "yes"},
    ]
    assert message(delta(content=parts)) == AssistantMessage(text="yes", reasoning="hm")


def test_a_refusal_is_text() -> None:
    assert message(delta(refusal="I will not")).text == "I will not"


def test_a_call_comes_in_deltas_keyed_by_an_index() -> None:
    assert calls(
        piece(0, id="a", name="shell", arguments=""),
        piece(0, arguments='{"comm'),
        piece(0, arguments='and": "ls"}'),
    ) == [("shell", '{"command": "ls"}')]


def test_parallel_calls_may_be_interleaved() -> None:
    assert calls(
        piece(0, id="a", name="shell", arguments='{"a"'),
        piece(1, id="b", name="finish", arguments="{"),
        piece(0, arguments=":1}"),
        piece(1, arguments="}"),
    ) == [("shell", '{"a":1}'), ("finish", "{}")]


def test_whole_calls_without_index_and_id_are_told_apart() -> None:
    assert calls(
        piece(name="shell", arguments='{"a":1}'), piece(name="shell", arguments='{"a":2}')
    ) == [("shell", '{"a":1}'), ("shell", '{"a":2}')]


def test_whole_calls_that_all_have_index_zero_are_told_apart() -> None:
    assert calls(
        piece(0, id="a", name="shell", arguments='{"a":1}'),
        piece(0, id="b", name="shell", arguments='{"a":1}'),
    ) == [("shell", '{"a":1}'), ("shell", '{"a":1}')]


def test_arguments_may_be_an_object() -> None:
    assert calls(piece(0, name="shell", arguments={"a": "é"})) == [("shell", '{"a": "é"}')]


def test_a_name_repeated_in_each_piece_makes_one_call() -> None:
    assert calls(
        piece(0, id="a", name="shell", arguments='{"a"'),
        piece(0, id="a", name="shell", arguments=":1}"),
        piece(0, id="a", name="shell", arguments=""),
    ) == [("shell", '{"a":1}')]
    assert calls(
        piece(name="shell", arguments='{"a"'),
        piece(name="shell", arguments=":1}"),
        piece(name="shell", arguments=""),
    ) == [("shell", '{"a":1}')]


def test_a_new_id_on_each_piece_makes_one_call() -> None:
    assert calls(
        piece(0, id="a", name="shell", arguments='{"a"'), piece(0, id="b", arguments=":1}")
    ) == [("shell", '{"a":1}')]


def test_a_name_may_come_in_pieces() -> None:
    assert calls(
        piece(0, id="a", name="read"), piece(0, name="_file"), piece(0, arguments="{}")
    ) == [("read_file", "{}")]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert calls(piece(0, id="a", name="finish")) == [("finish", "{}")]


def test_a_call_of_the_older_interface_is_a_call() -> None:
    made = message(delta(function_call={"name": "shell", "arguments": "{}"})).calls
    assert [(one.name, one.arguments) for one in made] == [("shell", "{}")]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("functions.shell", "shell"),
        ("shell<|channel|>commentary", "shell"),
        ("assistant<|channel|>analysis", "assistant<|channel|>analysis"),
        ("repo_browser.search", "repo_browser.search"),
    ],
)
def test_a_leaked_namespace_is_cut_only_where_a_known_tool_remains(
    written: str, meant: str
) -> None:
    assert calls(piece(0, name=written, arguments="{}")) == [(meant, "{}")]


def test_a_call_is_shown_once_when_its_name_is_known() -> None:
    _, events = assemble(
        delta(tool_calls=[piece(0, id="a", name="shell")]),
        delta(tool_calls=[piece(0, arguments="{}")]),
        delta(tool_calls=[piece(1, id="b", name="odd")]),
        delta(tool_calls=[piece(1, arguments="{}")]),
    )
    assert events == [CallStarted(0, "shell"), CallStarted(1, "odd")]


def test_missing_and_repeated_ids_are_replaced() -> None:
    made = message(
        call("shell", {}, "", 0), call("shell", {}, "x", 1), call("shell", {}, "x", 2), taken=["x"]
    ).calls
    ids = [one.id for one in made]
    assert len({*ids, "x"}) == 4
    assert all(ids)


def test_a_call_without_a_name_is_left_out_and_counted() -> None:
    assembly, _ = assemble(delta(tool_calls=[piece(0, arguments='{"a":1}')]))
    assert assembly.message().calls == ()
    assert assembly.nameless_calls == 1


def test_a_whole_message_is_taken_unless_its_deltas_came() -> None:
    whole = {"choices": [{"message": {"content": "all"}, "finish_reason": "stop"}]}
    assert message(whole).text == "all"
    assert message(delta(content="all"), whole).text == "all"


def test_only_the_first_choice_counts() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}}]}
    assert message(delta(content="yes"), other).text == "yes"


@pytest.mark.parametrize(
    ("server", "ours"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "stop"), ("eos", "stop")],
)
def test_the_end_has_our_words(server: str, ours: str) -> None:
    assembly, _ = assemble(delta(finish=server, content="x"))
    assert assembly.finish() == ours


def test_an_answer_with_calls_ends_with_calls_whatever_the_server_says() -> None:
    assembly, _ = assemble(call("shell", {}), delta(finish="stop"))
    assert assembly.finish() == "calls"


def test_usage_is_the_servers_with_its_details() -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assembly, _ = assemble(delta(content="x"), usage(100, 20, **details))
    assert assembly.usage(lambda: 7) == Usage(100, 20, 5, 64)


@pytest.mark.parametrize("counted", [None, {}, {"prompt_tokens": "9"}, {"prompt_tokens": -1}, []])
def test_missing_or_senseless_usage_is_estimated(counted: object) -> None:
    assembly, _ = assemble(delta(content="x" * 40), {"usage": counted})
    assert assembly.usage(lambda: 7) == Usage(7, 10, estimated=True)


def test_half_surrogates_are_replaced_and_pairs_joined() -> None:
    assembly, events = assemble(delta(content="\ud83d"), delta(content="\ude00\ud800"))
    assert assembly.message().text == "\U0001f600\ufffd"
    json.dumps([getattr(event, "text", "") for event in events]).encode()
    "".join(getattr(event, "text", "") for event in events).encode()


def test_an_echoed_key_is_redacted_even_when_split() -> None:
    assembly, events = assemble(
        delta(content="sekret-value"),
        delta(content="sekret-"),
        delta(content="value"),
        call("shell", {"a": "sekret-value"}),
        key="sekret-value",
    )
    kept = assembly.message()
    assert kept.text == "[key][key]"
    assert kept.calls[0].arguments == '{"a": "[key]"}'
    shown = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(shown) == "[key][key]"
    assert not any("sekret" in text for text in shown)


def test_cut_calls_are_named() -> None:
    assembly, _ = assemble(delta(tool_calls=[piece(0, id="a", name="shell", arguments='{"a')]))
    assert assembly.cut_calls == ["shell"]


_KEYS = [
    *("choices", "delta", "message", "index", "finish_reason", "content", "type", "text"),
    *("reasoning", "tool_calls", "function", "function_call", "name", "arguments", "id"),
    *("usage", "prompt_tokens", "timings"),
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@settings(deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["choices", "usage", "timings"]), _JSON, max_size=3),
        max_size=4,
    )
)
def test_no_json_makes_the_assembly_fail(chunks: list[dict[str, Any]]) -> None:
    assembly, _ = assemble(*chunks)
    assembly.message()
    assembly.usage(lambda: 1)
    assert assembly.finish() in {"stop", "calls", "length"}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(KNOWN), st.dictionaries(st.text(), st.text())), max_size=4),
    st.integers(1, 7),
)
def test_calls_come_whole_out_of_pieces_of_any_size(
    wanted: list[tuple[str, dict[str, str]]], size: int
) -> None:
    chunks = []
    for index, (name, arguments) in enumerate(wanted):
        text = json.dumps(arguments)
        chunks.append(delta(tool_calls=[piece(index, id=f"c{index}", name=name, arguments="")]))
        chunks.extend(
            delta(tool_calls=[piece(index, arguments=text[at : at + size])])
            for at in range(0, len(text), size)
        )
    made = message(*chunks).calls
    assert [(one.name, json.loads(one.arguments)) for one in made] == wanted
