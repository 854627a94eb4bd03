import json
from pathlib import Path

import pytest

from agent.codec import message_data
from agent.conversation import AssistantMessage, Conversation, ToolCall, UserMessage
from agent.models.base import (
    CallStarted,
    Event,
    Model,
    ModelError,
    ReasoningDelta,
    Sampling,
    TextDelta,
    TurnDone,
)
from agent.models.scripted import open_script
from agent.trajectory import Recorder
from sandbox.errors import UsageError

TASK: Conversation = (UserMessage("go"),)


def script(tmp_path: Path, text: str) -> Model:
    path = tmp_path / "script.jsonl"
    path.write_text(text, "utf-8")
    return open_script(str(path))


async def events(model: Model, conversation: Conversation = TASK) -> list[Event]:
    return [event async for event in model.generate(conversation, [], Sampling())]


async def message(model: Model, conversation: Conversation = TASK) -> AssistantMessage:
    done = (await events(model, conversation))[-1]
    assert isinstance(done, TurnDone)
    return done.message


async def test_a_turn_is_streamed_as_a_model_would(tmp_path: Path) -> None:
    turn = {
        "text": "t",
        "reasoning": "r",
        "calls": [{"name": "shell", "arguments": {"command": "ls"}}],
    }
    *deltas, done = await events(script(tmp_path, json.dumps(turn)))
    assert deltas == [ReasoningDelta("r"), TextDelta("t"), CallStarted(0, "shell")]
    assert isinstance(done, TurnDone)
    assert done.finish == "calls"
    assert done.usage.estimated
    call = done.message.calls[0]
    assert (call.name, json.loads(call.arguments)) == ("shell", {"command": "ls"})


@pytest.mark.parametrize(
    "text",
    ['{"text": "a"}\n\n{"text": "b"}\n', '[{"text": "a"}, {"text": "b"}]'],
    ids=["lines", "list"],
)
async def test_turns_are_played_in_order_and_their_end_is_said(tmp_path: Path, text: str) -> None:
    model = script(tmp_path, text)
    assert [(await message(model)).text for _ in range(2)] == ["a", "b"]
    with pytest.raises(ModelError, match="is over: it has 2 turns"):
        await events(model)


async def test_a_script_says_that_no_model_was_run(tmp_path: Path) -> None:
    info = script(tmp_path, "{}").info
    assert not info.real
    assert info.backend == "script"


async def test_a_resumed_attempt_goes_on_in_the_script(tmp_path: Path) -> None:
    model = script(tmp_path, '[{"text": "a"}, {"text": "b"}]')
    assert (await message(model, (*TASK, AssistantMessage("a")))).text == "b"


async def test_nor_does_it_begin_anew_where_its_answers_were_left_out_of_the_conversation(
    tmp_path: Path,
) -> None:
    model = script(tmp_path, '[{"text": "a"}, {"text": "b"}, {"text": "c"}]')
    model.resumed(2)
    assert (await message(model)).text == "c"


async def test_an_answer_left_out_of_the_conversation_is_not_played_again(tmp_path: Path) -> None:
    model = script(tmp_path, '[{}, {"text": "b"}]')
    done = (await events(model))[-1]
    assert isinstance(done, TurnDone)
    assert done.problem
    assert (await message(model)).text == "b"


async def test_candidates_are_one_turn_of_the_script(tmp_path: Path) -> None:
    model = script(tmp_path, '[{"text": "a"}, {"text": "b"}]')
    found = [turn async for turn in model.candidates(TASK, [], Sampling(), 5)]
    assert [turn.message.text for turn in found] == ["a"]


async def test_arguments_may_be_a_text_that_is_not_valid(tmp_path: Path) -> None:
    model = script(tmp_path, '{"calls": [{"name": "shell", "arguments": "{oops"}]}')
    assert (await message(model)).calls[0].arguments == "{oops"


async def test_calls_get_ids_that_differ(tmp_path: Path) -> None:
    two = '{"calls": [{"name": "a"}, {"name": "b"}]}'
    model = script(tmp_path, f"{two}\n{two}")
    calls = [call for _ in range(2) for call in (await message(model)).calls]
    assert len({call.id for call in calls}) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"text": "a"}\n{oops', "line 2: not valid JSON"),
        ('[{"text": "a"}, 7]', "turn 2: expected an object"),
        ('{"txt": "a"}', "unknown key 'txt'; did you mean 'text'?"),
        ('{"text": 7}', "text: expected a string"),
        ('{"calls": {}}', "calls: expected a list"),
        ('{"calls": [{"arguments": {}}]}', "call 1: the name of the tool is missing"),
        ('{"calls": [{"name": "a", "arguments": [1]}]}', "arguments: expected an object"),
        ('{"calls": [{"name": "a", "args": {}}]}', "unknown key 'args'"),
        ("[" * 100_000, "nested too deeply"),
        ("\ufeff{}", "not valid JSON"),
    ],
)
def test_a_bad_script_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        script(tmp_path, text)
    assert words in caught.value.message
    assert "script.jsonl" in caught.value.message


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        open_script(str(tmp_path / "none"))
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no UTF-8"):
        open_script(str(tmp_path / "odd"))
    (tmp_path / "blank").write_text(" \n")
    with pytest.raises(UsageError, match="is empty: it has no turn to play"):
        open_script(str(tmp_path / "blank"))


async def test_a_recorded_trajectory_is_played_again(tmp_path: Path) -> None:
    said = [
        AssistantMessage("a", "r", (ToolCall("c7", "shell", '{"x": 1}'),)),
        AssistantMessage("void"),
        AssistantMessage("b"),
    ]
    path = tmp_path / "trajectory.jsonl"
    recorder = Recorder(path)
    recorder.emit("note", text="before")
    for number, turn in enumerate(said, 1):
        if number == 3:
            recorder.emit("resumed", after=2, turn=1)
        recorder.emit("turn", turn=number, message=message_data(turn), usage={}, finish="stop")
    recorder.close()
    model = open_script(str(path))
    assert [await message(model), await message(model)] == [said[0], said[2]]


async def test_a_folder_has_a_script_for_each_task_each_attempt_from_its_beginning(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.json").write_text('[{"text": "one"}, {"text": "two"}]')
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n')
    model = open_script(str(tmp_path))
    assert not model.info.real
    for task, text in (("a", "one"), ("a", "one"), ("b", "three")):
        turns = model.for_attempt(task).generate([], [], Sampling())
        assert [event.text async for event in turns if isinstance(event, TextDelta)] == [text]
    with pytest.raises(ModelError, match="no script for the task c"):
        model.for_attempt("c")
    with pytest.raises(ModelError, match="greenroom bench"):
        await anext(model.generate([], [], Sampling()))


async def test_attempts_beside_each_other_each_play_a_script_from_its_beginning(
    tmp_path: Path,
) -> None:
    path = tmp_path / "script.json"
    path.write_text('[{"text": "one"}, {"text": "two"}]')
    model = open_script(str(path))
    for attempt in (model.for_attempt("a"), model.for_attempt("a")):
        turns = attempt.generate([], [], Sampling())
        assert [event.text async for event in turns if isinstance(event, TextDelta)] == ["one"]
