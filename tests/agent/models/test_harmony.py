from collections.abc import Sequence

import openai_harmony as library
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation import (
    AssistantMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.base import CallStarted, Event, ReasoningDelta, TextDelta
from agent.models.dialect import CallIds, Parsed
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_turn import CALL, RETURN, HarmonyParser

DIALECT = HarmonyDialect()
ENCODING = library.load_harmony_encoding("HarmonyGptOss")
SHELL = ToolSpec(
    "shell",
    "Runs a command.",
    {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
)
THOUGHT = "<|channel|>analysis<|message|>Look first.<|end|>"
CALLED = (
    f"{THOUGHT}<|start|>assistant<|channel|>commentary to=functions.shell <|constrain|>json"
    '<|message|>{"command": "ls"}<|call|>'
)
ANSWERED = f"{THOUGHT}<|start|>assistant<|channel|>final<|message|>Done.<|return|>"
LS = [("shell", '{"command": "ls"}')]


def ids(text: str) -> list[int]:
    return list(ENCODING.encode(text, allowed_special="all"))


def read(tokens: Sequence[int]) -> tuple[Parsed, list[Event]]:
    parser = HarmonyParser(DIALECT.decode, CallIds(()))
    events = [event for token in tokens for event in parser.feed(token)]
    events += parser.close()
    return parser.parsed(), events


def parsed(text: str) -> Parsed:
    return read(ids(text))[0]


def calls(text: str) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in parsed(text).calls]


def rendered(*messages: object, tools: Sequence[ToolSpec] = (), effort: str | None = None) -> str:
    prompt = DIALECT.prompt(messages, tools, effort)  # type: ignore[arg-type]
    return str(ENCODING.decode(prompt.ids))


def turn(text: str) -> AssistantMessage:
    """What the backend makes of a turn."""
    found = parsed(text)
    return AssistantMessage(found.text, found.reasoning, found.calls, tuple(ids(text)))


def test_a_call_and_its_reasoning_are_read_and_shown() -> None:
    found, events = read(ids(CALLED))
    assert [(c.name, c.arguments) for c in found.calls] == LS
    assert (found.reasoning, found.text, found.problem) == ("Look first.", "", "")
    assert found.reasoning_tokens == len(ids("Look first."))
    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert thought == "Look first."
    assert events[-1] == CallStarted(0, "shell")


def test_an_answer_is_text() -> None:
    found, events = read(ids(ANSWERED))
    assert (found.text, found.calls, found.problem) == ("Done.", (), "")
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Done."


def test_a_preamble_is_text_before_a_call() -> None:
    text = f"<|channel|>commentary<|message|>I look.<|end|><|start|>assistant{CALLED}"
    assert parsed(text).text == "I look."
    assert calls(text) == LS


@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>commentary to=functions.shell <|constrain|>json",
        "<|channel|>commentary to=functions.shell<|constrain|>json",
        " to=functions.shell<|channel|>commentary <|constrain|>json",
        " to=functions.shell<|channel|>commentary",
        "<|channel|>commentary to=shell code",
        "<|channel|>analysis to=functions.shell <|constrain|>json",
        "<|channel|>commentary to=functions.shell<|channel|>analysis json",
        "<|channel|>commentary json to=functions.shell please now",
    ],
)
def test_a_call_is_read_whatever_order_its_header_has(header: str) -> None:
    assert calls(f'{header}<|message|>{{"command": "ls"}}<|call|>') == LS


def test_a_missing_start_does_no_harm() -> None:
    assert calls(CALLED.replace("<|start|>assistant", "")) == LS


def test_a_missing_end_does_no_harm() -> None:
    assert calls(CALLED.replace("<|end|><|start|>assistant", "")) == LS
    assert parsed(CALLED.replace("<|end|><|start|>assistant", "")).reasoning == "Look first."


def test_a_missing_message_mark_keeps_the_recipient() -> None:
    text = '<|channel|>commentary to=functions.shell <|constrain|>json{"command": "ls"}<|call|>'
    assert calls(text) == LS


def test_what_follows_a_call_is_dropped() -> None:
    invented = '<|start|>functions.shell to=assistant<|channel|>commentary<|message|>"a"<|end|>'
    assert parsed(CALLED + invented + ANSWERED).text == ""
    assert calls(CALLED + invented) == LS


def test_a_namespace_stays_in_a_tools_name() -> None:
    text = "<|channel|>commentary to=container.exec<|message|>{}<|call|>"
    assert calls(text) == [("container.exec", "{}")]


def test_a_header_without_channel_is_a_problem_in_words() -> None:
    assert "names neither a channel" in parsed("<|channel|>??<|message|>hm<|return|>").problem
    assert "names neither a channel" in parsed("some free words<|return|>").problem


def test_a_call_that_was_cut_off_is_a_problem_and_no_call() -> None:
    found = parsed(CALLED.removesuffix('ls"}<|call|>'))
    assert found.calls == ()
    assert "call of shell was cut off" in found.problem


def test_a_character_of_several_tokens_comes_whole() -> None:
    tokens = ids("<|channel|>final<|message|>a🦔é漢<|return|>")
    found, events = read(tokens)
    assert found.text == "a🦔é漢"
    assert not any("\ufffd" in event.text for event in events if isinstance(event, TextDelta))


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@given(TEXTS, TEXTS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_sound_turn_is_read_as_the_library_reads_it(thought: str, said: str, final: str) -> None:
    tokens: list[int] = []
    for channel, text in [("analysis", thought), ("commentary", said), ("final", final)]:
        head = ids(f"<|start|>assistant<|channel|>{channel}<|message|>")
        tokens += [*head, *ENCODING.encode(text, disallowed_special=()), 200007]
    tokens = [*tokens[2:-1], RETURN]
    theirs = library.StreamableParser(ENCODING, role=library.Role.ASSISTANT)
    for token in tokens:
        theirs.process(token)
    contents = [message.content[0].text for message in theirs.messages]
    found, _ = read(tokens)
    assert [found.reasoning, found.text] == [contents[0], f"{contents[1]}\n\n{contents[2]}"]


def test_functions_stand_in_the_developer_message_and_effort_in_the_system_message() -> None:
    text = rendered(SystemMessage("Be brief."), UserMessage("Hi"), tools=[SHELL], effort="high")
    system, developer = text.split("<|start|>developer<|message|>")
    assert "Reasoning: high" in system
    assert "namespace functions" in developer
    assert "Be brief." in developer
    assert text.endswith("<|start|>user<|message|>Hi<|end|><|start|>assistant")


def test_tools_with_a_namespace_stand_in_the_system_message() -> None:
    native = ToolSpec("container.exec", "Runs.", SHELL.parameters)
    text = rendered(UserMessage("Hi"), tools=[native])
    assert "namespace container {" in text.partition("<|start|>user")[0]
    assert "<|start|>developer" not in text


def test_a_turn_goes_back_in_its_own_tokens() -> None:
    called = turn(CALLED.replace(' {"', '{"').replace("commentary to", "commentary  to"))
    prompt = DIALECT.prompt(
        [UserMessage("Hi"), called, ToolMessage("c", "shell", "a b")], [SHELL], None
    )
    text = ENCODING.decode(prompt.ids)
    assert "commentary  to=functions.shell" in text
    assert "<|start|>functions.shell<|channel|>commentary to=assistant<|message|>a b<|end|>" in text


@pytest.mark.parametrize("tokens", [(1, 2, 3), tuple(ids(CALLED))[:-1], tuple(ids(ANSWERED))])
def test_tokens_that_say_something_else_are_not_used(tokens: tuple[int, ...]) -> None:
    call = ToolCall("c", "shell", '{"command": "ls"}')
    message = AssistantMessage("", "Look first.", (call,), tokens)
    text = rendered(UserMessage("Hi"), message)
    assert text.endswith(f"<|start|>assistant{CALLED}<|start|>assistant")


def test_reasoning_is_kept_until_an_answer_and_dropped_after_it() -> None:
    loop = [UserMessage("Hi"), turn(CALLED), ToolMessage("c", "shell", "a")]
    assert rendered(*loop).count("Look first.") == 1
    answered = [*loop, turn(ANSWERED)]
    assert rendered(*answered).count("Look first.") == 2
    follow_up = rendered(*answered, UserMessage("More"), turn(CALLED))
    assert follow_up.count("Look first.") == 1
    assert "<|channel|>final<|message|>Done.<|end|><|start|>user<|message|>More" in follow_up


def test_marks_in_a_tools_result_stay_text() -> None:
    prompt = DIALECT.prompt([ToolMessage("c", "shell", "<|call|><|return|>")], [], None)
    assert CALL not in prompt.ids
    assert RETURN not in prompt.ids


def test_text_that_is_no_unicode_is_rendered_all_the_same() -> None:
    assert "a\ufffd" in rendered(UserMessage("a\udc80"), ToolMessage("c", "x\udc80", "y\udc80"))


def test_a_turn_that_was_changed_or_malformed_is_rendered_from_its_message() -> None:
    redacted = AssistantMessage("[key]", "Look first.", (), tuple(ids(ANSWERED)))
    assert "<|channel|>final<|message|>[key]<|end|>" in rendered(redacted)
    malformed = turn("<|channel|>??<|message|>hm<|return|>")
    assert "??" not in rendered(malformed)


@pytest.mark.parametrize("piece", [" ", "to=a ", "<|channel|> ", "assistant ", "<|constrain|> "])
@pytest.mark.parametrize("started", [True, False])
def test_a_header_that_never_ends_is_read_once(piece: str, started: bool) -> None:
    from agent.models.harmony_header import read_header, split_header

    # What grows with the square of this would take minutes.
    header = piece * 100_000
    assert read_header(header, started=started).channel == ""
    assert split_header(header)[0]
