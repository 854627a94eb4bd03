import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation import AssistantMessage, ToolCall, ToolSpec, UserMessage
from agent.models.base import CallStarted, Event, ReasoningDelta, TextDelta
from agent.models.dialect import CallIds, Parsed
from agent.models.tooltags import TagParser

SHELL = ToolSpec(
    "shell",
    "Runs a command.",
    {
        "type": "object",
        "properties": {"command": {"type": "string"}, "seconds": {"type": "number"}},
    },
)
#: Ends a turn.
STOP = 0
CALL = '{"name": "shell", "arguments": {"command": "ls"}}'
LS = [("shell", {"command": "ls"})]


def decode(ids: Sequence[int]) -> str:
    """A vocabulary of bytes: most characters beyond ASCII take several tokens."""
    return bytes(ids).decode("utf-8", "replace")


def read(text: str, *, ended: bool = True, thinking: bool = False) -> tuple[Parsed, list[Event]]:
    parser = TagParser(decode, frozenset({STOP}), [SHELL], CallIds(()), thinking=thinking)
    tokens = [*text.encode("utf-8", "replace"), *([STOP] if ended else [])]
    events = [event for token in tokens for event in parser.feed(token)]
    events += parser.close()
    return parser.parsed(), events


def calls(text: str) -> list[tuple[str, object]]:
    return [(call.name, json.loads(call.arguments)) for call in read(text)[0].calls]


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"<tool_call>{CALL}",
        f"[TOOL_CALLS][{CALL}]",
        '[TOOL_CALLS]shell[ARGS]{"command": "ls"}',
        '[TOOL_CALLS]shell[CALL_ID]abc123[ARGS]{"command": "ls"}',
        '<|python_tag|>{"name": "shell", "parameters": {"command": "ls"}}',
        '{"name": "shell", "parameters": {"command": "ls"}}',
        f"\n\n{CALL}",
        f"```json\n{CALL}\n```",
        f"```json\n{CALL}",
        f'{{"type": "function", "function": {CALL}}}',
        '<tool_call>{"name": "shell", "arguments": "{\\"command\\": \\"ls\\"}"}</tool_call>',
        "<tool_call>\n<function=shell>\n<parameter=command>\nls\n</parameter>\n</function>\n"
        "</tool_call>",
    ],
)
def test_every_form_of_a_call_is_read(text: str) -> None:
    found, events = read(text)
    assert calls(text) == LS
    assert (found.text, found.problem) == ("", "")
    assert CallStarted(0, "shell") in events


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>",
        f"[TOOL_CALLS][{CALL}, {CALL}]",
        '[TOOL_CALLS]shell[ARGS]{"command": "ls"}[TOOL_CALLS]shell[ARGS]{"command": "ls"}',
        f"<|python_tag|>{CALL}; {CALL}",
    ],
)
def test_several_calls_are_read_and_get_ids_of_their_own(text: str) -> None:
    assert calls(text) == LS + LS
    assert len({call.id for call in read(text)[0].calls}) == 2


def test_an_id_is_new_to_the_conversation() -> None:
    ids = CallIds([AssistantMessage(calls=(ToolCall("call00002", "a", ""),)), UserMessage("x")])
    assert [ids.next(), ids.next()] == ["call00003", "call00004"]


def test_the_schema_tells_texts_from_numbers() -> None:
    body = "<parameter=command>\n12\n</parameter><parameter=seconds>12</parameter>"
    text = f"<tool_call><function=shell>{body}</function></tool_call>"
    assert calls(text) == [("shell", {"command": "12", "seconds": 12})]


def test_reasoning_text_and_call_are_kept_apart() -> None:
    found, events = read(f"<think>\nHm.\n</think>\n\nI look.<tool_call>{CALL}</tool_call>")
    assert (found.reasoning, found.text) == ("Hm.", "I look.")
    assert 0 < found.reasoning_tokens < 20
    shown = [type(event) for event in events]
    assert shown == sorted(shown, key=[ReasoningDelta, TextDelta, CallStarted].index)


def test_reasoning_that_the_prompt_opened_needs_no_tag() -> None:
    found, _ = read("Hm.</think>Yes.", thinking=True)
    assert (found.reasoning, found.text) == ("Hm.", "Yes.")


def test_thought_is_reasoning_too() -> None:
    assert read("<thought>Hm.</thought>Yes.")[0].reasoning == "Hm."


@pytest.mark.parametrize(
    "text",
    [
        "a < b and <b>bold</b> [TOOL] <tool_box>",
        '```json\n{"name": "Ada", "arguments": 3}\n``` is JSON',
        '{"name": "Ada"}',
        "{not JSON",
        '```json\n{"a": 1}',
        "Käse 🦔 <",
    ],
)
def test_what_only_looks_like_a_call_is_text(text: str) -> None:
    found, events = read(text)
    assert found.text == text
    assert found.calls == ()
    assert found.problem == ""
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == text


def test_text_is_shown_before_the_turn_ends() -> None:
    parser = TagParser(decode, frozenset({STOP}), [SHELL], CallIds(()))
    shown = [parser.feed(token) for token in b"Well <"]
    assert [event for events in shown for event in events] == [TextDelta(c) for c in "Well "]


def test_an_unreadable_call_is_a_problem() -> None:
    found, _ = read("<tool_call>please run ls</tool_call>")
    assert found.calls == ()
    assert "could not be read" in found.problem


def test_a_call_with_broken_arguments_is_kept_as_it_was_written() -> None:
    found, _ = read('<tool_call>{"name": "shell", "arguments": {"command": ls}}</tool_call>')
    assert [(call.name, call.arguments) for call in found.calls] == [("shell", '{"command": ls}')]


def test_a_call_that_was_cut_off_is_a_problem() -> None:
    found, _ = read('<tool_call>{"name": "shell", "arguments": {"comm', ended=False)
    assert found.calls == ()
    assert "cut off" in found.problem


def test_a_whole_call_without_its_closing_tag_counts_even_when_cut_off() -> None:
    assert [call.name for call in read(f"<tool_call>{CALL}", ended=False)[0].calls] == ["shell"]


PIECES = st.sampled_from(
    [
        *("<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]"),
        *("<|python_tag|>", "```json\n", "\n```", CALL, "{", "}", '"', "[", "shell", "<fun"),
        *("<function=shell>", "<parameter=command>", "</parameter>", "</function>", "🦔", "\n"),
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=30), st.booleans(), st.booleans())
@settings(max_examples=400, deadline=None)
def test_no_text_makes_the_parser_raise(pieces: list[str], ended: bool, thinking: bool) -> None:
    found, events = read("".join(pieces).replace("\0", ""), ended=ended, thinking=thinking)
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert shown.strip() == found.text
    assert sum(isinstance(event, CallStarted) for event in events) == len(found.calls)


@pytest.mark.parametrize("depth", [500, 5_000, 100_000])
def test_a_deeply_nested_call_does_not_raise(depth: int) -> None:
    inside = "[" * depth + "]" * depth
    read(f'[TOOL_CALLS]{{"name": "shell", "arguments": {{"a": {inside}}}}}'[:120_000])


@pytest.mark.parametrize(
    "written",
    [
        "see </tool_call> there",
        'a "quote" </tool_call>',
        "\\ </tool_call> \\",
        "<function=y>z</function>",
    ],
)
@pytest.mark.parametrize("form", ["<tool_call>\n{}\n</tool_call>", "[TOOL_CALLS]{}"])
def test_a_text_may_hold_the_marks_of_calls(written: str, form: str) -> None:
    call = json.dumps({"name": "shell", "arguments": {"command": written}})
    assert calls(form.format(call)) == [("shell", {"command": written})]


def test_a_text_may_hold_what_begins_mistrals_next_call() -> None:
    first = '[TOOL_CALLS]shell[ARGS]{"command": "see [TOOL_CALLS]a[ARGS]{}"}'
    assert calls(f"{first}{first}") == [("shell", {"command": "see [TOOL_CALLS]a[ARGS]{}"})] * 2


def test_a_text_that_never_ends_closes_with_the_call() -> None:
    parsed, _ = read('<tool_call>{"name": "shell", "arguments": {"command": "ls}}</tool_call>Done.')
    assert [call.arguments for call in parsed.calls] == ['{"command": "ls}']
    assert parsed.text == "Done."


@pytest.mark.parametrize(
    "piece",
    [
        "<think></think>",
        "<tool_call>{}</tool_call>",
        '<tool_call>{"a": "</tool_call>"}</tool_call>',
    ],
)
def test_many_parts_are_read_without_going_back(piece: str) -> None:
    parser = TagParser(decode, frozenset({STOP}), [SHELL], CallIds(()))
    # In one piece, and so many that what grows with their square would take minutes.
    parser.feed_text(piece * 60_000)
    parser.close()
    assert parser.parsed().text == ""


def test_many_marks_within_one_text_are_read_without_going_back() -> None:
    parser = TagParser(decode, frozenset({STOP}), [SHELL], CallIds(()))
    marks = "</tool_call>" * 60_000
    call = {"name": "shell", "arguments": {"command": marks}}
    parser.feed_text(f"<tool_call>{json.dumps(call)}</tool_call>")
    parser.close()
    assert [call.name for call in parser.parsed().calls] == ["shell"]


@pytest.mark.parametrize("piece", ["<parameter=a>", "<parameter=", "<function=a>", "<function="])
def test_tags_that_nothing_closes_are_read_once(piece: str) -> None:
    from agent.models.written_calls import read_calls

    made = read_calls("<function=a>" + piece * 80_000, {})
    assert all(call.arguments == "{}" for call in made)
