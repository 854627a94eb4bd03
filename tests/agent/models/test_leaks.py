import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.models.leaks import Leaked, ThoughtInText, read_leaked
from agent.models.meant import meant_tool, plain_arguments
from agent.models.tooltags import TAGS, THOUGHTS
from tools.tool import Toolbox
from tools.toolsets import toolset

TOOLS = Toolbox(toolset("generic").tools).specs
BY_NAME = {spec.name: spec for spec in TOOLS}
MARKS = [
    *("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>"),
    *("<|constrain|>", "assistant", "analysis", "commentary", "final", " to=", "functions."),
    *("shell", "<think>", "</think>", "<tool_call>", "</tool_call>", "```json\n", "\n```"),
    *("{", "}", '{"name": "shell", "arguments": {}}', "\n", " "),
]
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="<[{`"), max_size=200)


@settings(deadline=None)
@given(st.lists(st.sampled_from(MARKS) | st.text(max_size=5), max_size=25))
def test_no_text_makes_the_reading_raise(parts: list[str]) -> None:
    found = read_leaked("".join(parts), TOOLS)
    if found is not None:
        assert not [mark for mark in ("<|call|>", "<|end|>") if mark in found.reasoning]
        assert len(found.calls) <= 1 or "<|message|>" not in "".join(parts)


@settings(deadline=None)
@given(PLAIN)
def test_a_text_without_marks_stays_as_it_is(text: str) -> None:
    assert read_leaked(text, TOOLS) is None


@settings(deadline=None)
@given(PLAIN, PLAIN, st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
def test_a_turn_of_harmony_comes_out_as_it_was_put_in(
    thought: str, said: str, arguments: dict[str, str]
) -> None:
    written = json.dumps(arguments, ensure_ascii=True)
    text = (
        f"<|channel|>analysis<|message|>{thought}<|end|>"
        f"<|start|>assistant<|channel|>commentary<|message|>{said}<|end|>"
        "<|start|>assistant<|channel|>commentary to=functions.shell <|constrain|>json"
        f"<|message|>{written}<|call|>"
    )
    assert read_leaked(text, TOOLS) == Leaked(
        said.strip(), thought.strip(), (("functions.shell", written),)
    )


def test_a_cut_tool_call_is_a_problem_and_no_text() -> None:
    found = read_leaked('<tool_call>{"name": "shell", "argum', TOOLS)
    assert found is not None
    assert (found.text, found.calls) == ("", ())
    assert "cut off" in found.problem


@pytest.mark.parametrize(
    ("name", "arguments", "meant"),
    [
        ("assistant", '{"command": "ls"}', "shell"),
        ("commentary<|channel|>", '{"path": "a", "old_text": "b", "new_text": ""}', "edit_file"),
        ("nothing<|channel|>", '{"command": "ls"}', "nothing<|channel|>"),
        ("json", "[]", "json"),
        ("json", '{"command": 7}', "json"),
        ("ls", '{"command": "ls"}', "ls"),
    ],
)
def test_only_a_name_of_marks_is_guessed(name: str, arguments: str, meant: str) -> None:
    assert meant_tool(name, arguments, BY_NAME) == meant


@settings(deadline=None)
@given(st.text(max_size=30), st.text(max_size=60))
def test_no_name_and_no_arguments_make_the_guess_raise(name: str, arguments: str) -> None:
    meant_tool(name, arguments, BY_NAME)
    plain_arguments(arguments)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
def test_one_escape_too_many_is_taken_back_and_no_other(values: dict[str, str]) -> None:
    written = json.dumps(values)
    assert plain_arguments(written) == written
    assert plain_arguments(json.dumps(written)) == written
    assert plain_arguments(json.dumps("no object")) == json.dumps("no object")


@given(
    st.sampled_from(["<think>", "<thought>", " \n<think>", "", "<thin", "<"]),
    st.text("ab<>/think \n", max_size=20),
    st.sampled_from(["</think>", "</thought>", ""]),
    st.text("ab<>/think \n", max_size=20),
    st.integers(1, 5),
)
def test_reasoning_in_the_text_is_told_whatever_pieces_it_comes_in(
    opening: str, thought: str, closing: str, said: str, size: int
) -> None:
    whole = opening + thought + closing + said
    reader = ThoughtInText()
    pieces = [whole[place : place + size] for place in range(0, len(whole), size)]
    told = [piece for part in pieces for piece in reader.feed(part)] + reader.rest()
    reasoning = "".join(text for thinks, text in told if thinks)
    answer = "".join(text for thinks, text in told if not thinks)
    tag = next((tag for tag in THOUGHTS if whole.lstrip().startswith(tag)), "")
    before, after = "", whole
    if tag:
        before, _, after = whole.lstrip().removeprefix(tag).partition(TAGS[tag] or "")
    assert (reasoning, answer.lstrip()) == (before, after.lstrip())
