"""What gpt-oss is known to write against its own format, by the numbers of the list in
docs/models.md: each ends as a sound turn or as a problem with a name. What servers make of them is
in test_quirks.py."""

from collections.abc import Sequence

import openai_harmony
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation import ToolCall, ToolMessage, UserMessage
from agent.models.base import AssistantMessage, Event, ReasoningDelta, TextDelta
from agent.models.dialect import CallIds, Parsed
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_turn import CALL, END, RETURN, START, HarmonyParser
from tools.tool import Toolbox
from tools.toolsets import toolset

DIALECT = HarmonyDialect()
ENCODING = openai_harmony.load_harmony_encoding("HarmonyGptOss")
NATIVE = Toolbox(toolset("gpt-oss").tools).specs
GENERIC = Toolbox(toolset("generic").tools).specs
THINKS = "<|channel|>analysis<|message|>Look first.<|end|>"
ARGUMENTS = '{"command": ["ls"]}'
HEADER = "<|channel|>commentary to=container.exec <|constrain|>json"
CALLS = f"{HEADER}<|message|>{ARGUMENTS}<|call|>"
LS = [("container.exec", ARGUMENTS)]


def ids(text: str) -> list[int]:
    return list(ENCODING.encode(text, allowed_special="all"))


def parser_of(tokens: Sequence[int], tools: Sequence[object] = NATIVE) -> HarmonyParser:
    parser = HarmonyParser(DIALECT.decode, CallIds(()), tools)  # type: ignore[arg-type]
    for token in tokens:
        parser.feed(token)
    parser.close()
    return parser


def read(text: str) -> Parsed:
    return parser_of(ids(text)).parsed()


def calls(text: str) -> list[tuple[str, str]]:
    found = read(text)
    assert found.problem == ""
    return [(call.name, call.arguments) for call in found.calls]


# 1: the library's parser dies of a token that it does not expect.


def test_1_a_missing_start_is_no_end_of_the_stream() -> None:
    """`Unexpected token 12606 while expecting start token 200006`."""
    text = f"{THINKS}{CALLS.removeprefix('<|channel|>')}"
    assert ids(text)[len(ids(THINKS))] == 12606
    assert calls(text) == LS
    assert read(text).reasoning == "Look first."


def test_1_a_return_after_reasoning_is_named() -> None:
    """`Unexpected token 200002 while expecting start token 200006`."""
    found = read(f"{THINKS}<|return|>")
    assert (found.kind, found.reasoning) == ("neither", "Look first.")


@pytest.mark.parametrize(
    "left_out", ["<|start|>", "<|start|>assistant", "<|end|><|start|>assistant"]
)
def test_1_what_stands_between_two_messages_may_be_missing(left_out: str) -> None:
    text = f"{THINKS}<|start|>assistant{CALLS}".replace(left_out, "")
    assert calls(text) == LS
    assert read(text).reasoning == "Look first."


# 2: words in a header that do not belong there.


@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>commentary to=container.exec please now <|constrain|>json",
        "<|channel|>commentary json to=container.exec code",
        "<|channel|>commentary to=container.exec<|channel|>commentary <|constrain|>json",
        " to=container.exec<|channel|>analysis to=container.exec code",
        " now<|channel|>commentary to=container.exec",
    ],
)
def test_2_words_too_many_in_a_header_are_passed_over(header: str) -> None:
    assert calls(f"{header}<|message|>{ARGUMENTS}<|call|>") == LS
    assert calls(f"{THINKS}<|start|>assistant{header}<|message|>{ARGUMENTS}<|call|>") == LS


def test_2_a_missing_message_mark_keeps_recipient_and_text() -> None:
    assert calls(f"{HEADER}{ARGUMENTS}<|call|>") == LS
    assert read("<|channel|>final Done.<|return|>").text == " Done."
    found = read(f"<|channel|>analysisI look.<|end|><|start|>assistant{CALLS}")
    assert (found.reasoning, len(found.calls)) == ("I look.", 1)


# 3: free text or question marks after the channel's mark.


@pytest.mark.parametrize("words", ["??", "I will look at the tests", "?? json", "", "comment"])
@pytest.mark.parametrize("end", ["<|message|>hm<|return|>", "<|end|>", "<|return|>"])
def test_3_no_channel_is_named(words: str, end: str) -> None:
    parser = parser_of(ids(f"{THINKS}<|start|>assistant<|channel|>{words}{end}"))
    found = parser.parsed()
    assert found.kind == "channel"
    assert "names neither a channel" in found.problem
    assert words in parser.dropped


def test_3_a_call_beside_it_can_be_made_but_is_asked_for_again_first() -> None:
    found = read(f"<|channel|>??<|message|>hm<|end|><|start|>assistant{CALLS}")
    assert (found.kind, found.problem, len(found.calls)) == ("channel", "", 1)


# 4: a tool named `assistant<|channel|>analysis`.


def test_4_a_tools_name_ends_at_a_mark() -> None:
    assert calls(f" to=container.exec<|channel|>analysis<|message|>{ARGUMENTS}<|call|>") == LS
    plain = ENCODING.encode("<|channel|>analysis", disallowed_special=())
    tokens = [*ids(" to=container.exec"), *plain, *ids(f"<|message|>{ARGUMENTS}<|call|>")]
    assert [(c.name, c.arguments) for c in parser_of(tokens).parsed().calls] == LS


HEADLESS = " to=assistant<|channel|>analysis <|constrain|>json<|message|>{}<|call|>"


def test_4_a_call_to_nobody_is_meant_for_the_one_tool_that_its_arguments_fit() -> None:
    assert calls(HEADLESS.replace("{}", ARGUMENTS)) == LS
    assert read(HEADLESS.replace("{}", ARGUMENTS)).reasoning == ""
    patch = '{"patch": "*** Begin Patch"}'
    assert calls(HEADLESS.replace("{}", patch)) == [("repo_browser.apply_patch", patch)]


@pytest.mark.parametrize("arguments", ['{"path": "a.py"}', "{}", '{"what": 1}', "ls", "[1]"])
def test_4_arguments_that_fit_several_tools_or_none_are_named(arguments: str) -> None:
    found = read(HEADLESS.replace("{}", arguments))
    assert (found.kind, found.calls, found.reasoning) == ("tool", (), arguments)
    assert "named no tool" in found.problem


# 5: names without their namespace, and calls on the channel of reasoning.


@pytest.mark.parametrize("channel", ["analysis", "commentary", "final"])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("container.exec", "container.exec"),
        ("functions.container.exec", "container.exec"),
        ("exec", "container.exec"),
        ("functions.exec", "container.exec"),
    ],
)
def test_5_a_known_tool_is_called_on_any_channel(channel: str, name: str, meant: str) -> None:
    text = f"<|channel|>{channel} to={name} code<|message|>{ARGUMENTS}<|call|>"
    [(called, arguments)] = calls(text)
    tool = Toolbox(toolset("gpt-oss").tools).find(called)
    assert tool is not None
    assert (tool.name, arguments) == (meant, ARGUMENTS)


# 11: escaped twice.


def test_11_arguments_and_results_go_back_as_they_were() -> None:
    arguments = '{"command": ["bash", "-lc", "printf \'\\\\n\' \\"a\\""]}'
    call = ToolCall("c", "container.exec", arguments)
    result = 'a "quoted" line\\n\nand {"an": "object"}'
    conversation = [AssistantMessage("", "", (call,)), ToolMessage("c", "container.exec", result)]
    text = ENCODING.decode(DIALECT.prompt(conversation, NATIVE, None).ids)
    assert f"<|message|>{arguments}<|call|>" in text
    assert f"<|message|>{result}<|end|>" in text


# 12: tools named as ours that are built in elsewhere.


def test_12_no_function_of_ours_has_a_name_that_gpt_oss_was_trained_with() -> None:
    assert not {"python", "browser", "container", "bash"} & {spec.name for spec in GENERIC}
    rendered = ENCODING.decode(DIALECT.prompt([UserMessage("Hi")], NATIVE, None).ids)
    assert "namespace functions" not in rendered
    assert "namespace container {" in rendered.partition("<|start|>user")[0]


# 13: one call a generation; some write several.


def test_13_several_calls_are_read_and_named() -> None:
    one = CALLS.replace("<|call|>", "<|end|>")
    other = f'{HEADER.replace("container.exec", "repo_browser.search")}<|message|>{{"query": "a"}}'
    found = read(f"{THINKS}<|start|>assistant{one}<|start|>assistant{other}<|call|>")
    assert [call.name for call in found.calls] == ["container.exec", "repo_browser.search"]
    assert len({call.id for call in found.calls}) == 2
    assert (found.kind, found.problem) == ("several", "")


def test_13_an_answer_and_a_call_at_once_are_named() -> None:
    answer = "<|channel|>final<|message|>Done.<|end|>"
    found = read(f"{answer}<|start|>assistant{CALLS}")
    assert (found.kind, found.text, len(found.calls)) == ("both", "Done.", 1)


def test_13_a_preamble_is_no_answer() -> None:
    said = "<|channel|>commentary<|message|>I look.<|end|>"
    assert read(f"{said}<|start|>assistant{CALLS}").kind is None
    found = read(said.replace("<|end|>", "<|return|>"))
    assert (found.kind, found.text) == ("neither", "I look.")
    assert "neither answered nor called" in found.problem


# 14: a call does not stop the generation, so that results are invented.

RESULT = "<|start|>container.exec to=assistant<|channel|>commentary<|message|>a.py<|end|>"
ANSWER = "<|start|>assistant<|channel|>final<|message|>Done.<|return|>"


@pytest.mark.parametrize("end", ["<|call|>", "<|end|>"])
@pytest.mark.parametrize(
    "result", [RESULT, RESULT.replace(" to=assistant", ""), "<|start|>tool<|message|>a.py<|end|>"]
)
def test_14_an_invented_result_and_all_after_it_are_dropped(end: str, result: str) -> None:
    parser = parser_of(ids(f"{THINKS}<|start|>assistant{CALLS[:-8]}{end}{result}{ANSWER}"))
    found = parser.parsed()
    assert [(call.name, call.arguments) for call in found.calls] == LS
    assert (found.text, found.kind) == ("", None)
    assert "Done." in parser.dropped


def test_14_an_invented_user_is_nobody() -> None:
    found = read(f"{THINKS}<|start|>user<|message|>Go on.<|end|>{ANSWER}")
    assert (found.text, found.reasoning) == ("", "Look first.")


def test_14_the_ids_that_end_a_turn_are_the_formats_own() -> None:
    assert {RETURN, CALL} <= DIALECT.stop_ids
    assert END not in DIALECT.stop_ids
    assert set(ENCODING.stop_tokens_for_assistant_actions()) <= DIALECT.stop_ids


# Whatever comes.

PIECES = st.sampled_from(
    [
        *("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>"),
        *("<|call|>", "<|return|>", "assistant", "analysis", "commentary", "final", " to="),
        *(
            "container.exec",
            "functions.shell",
            "json",
            ARGUMENTS,
            "{",
            "}",
            "??",
            " words",
            "ü🦔漢",
        ),
        *(THINKS, CALLS, HEADER, "<|start|>assistant", RESULT, ANSWER, "user", "\n"),
    ]
)


@given(st.lists(PIECES, max_size=24))
@settings(max_examples=200, deadline=None)
def test_no_text_is_lost(pieces: list[str]) -> None:
    tokens = ids("".join(pieces))
    parser = parser_of(tokens)
    found = parser.parsed()
    kept = "".join(
        [found.text, found.reasoning, parser.dropped]
        + [call.name + call.arguments for call in found.calls]
    )
    for word in ("??", "words", "ü🦔漢"):
        assert kept.count(word) >= "".join(pieces).count(word)


@given(st.lists(st.one_of(st.integers(0, 201_100), st.integers(199_998, 200_020)), max_size=40))
@settings(max_examples=150, deadline=None)
def test_no_tokens_raise_and_all_is_shown(tokens: list[int]) -> None:
    parser = HarmonyParser(DIALECT.decode, CallIds(()))
    events: list[Event] = [event for token in tokens for event in parser.feed(token)]
    events += parser.close()
    found = parser.parsed()
    for kind, text in ((TextDelta, found.text), (ReasoningDelta, found.reasoning)):
        shown = "".join(event.text for event in events if isinstance(event, kind))
        assert shown.replace("\n\n", "") == text.replace("\n\n", "")


@given(st.lists(PIECES, max_size=24))
@settings(max_examples=80, deadline=None)
def test_whatever_was_written_can_be_rendered_in_sound_tokens(pieces: list[str]) -> None:
    tokens = ids("".join(pieces))
    found = parser_of(tokens).parsed()
    turn = AssistantMessage(found.text, found.reasoning, found.calls, tuple(tokens))
    results = [ToolMessage(call.id, call.name, "ok") for call in found.calls]
    prompt = DIALECT.prompt([UserMessage("Hi"), turn, *results], NATIVE, None)
    after = list(prompt.ids[prompt.ids.index(START, 1) :])
    library = openai_harmony.StreamableParser(ENCODING, role=None)
    for token in after[: -len(ids("<|start|>assistant"))]:
        library.process(token)
