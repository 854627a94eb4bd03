import ast
import asyncio
import json
from collections.abc import Sequence

import pytest

from agent.conversation import AssistantMessage, Message, ToolMessage, UserMessage
from agent.models.base import Sampling, TurnDone
from agent.models.embedded import EmbeddedModel
from agent.suspects import Suspect, render_suspects
from tools.toolsets import toolset

CODE = """\
def is_open(opens, closes, time):
    return time >= opens or time < closes


def first_open(times, opens, closes):
    return [time for time in times if is_open(opens, closes, time)][0]
"""
SUSPECT = Suspect("doors.py", "is_open", 1, 2, ((2, 1.0),))
TASK = UserMessage(
    "The door opens at night.\n\nFAILED test_doors.py::test_closed\n    assert not True\n\n"
    + render_suspects([SUSPECT])
)


def page(text: str, first: int = 1, last: int | None = None) -> str:
    lines = text.splitlines()
    shown = lines[first - 1 : last]
    numbered = [f"{number}| {line}" for number, line in enumerate(shown, first)]
    head = f"doors.py: lines {first} to {first + len(shown) - 1} of {len(lines)}"
    return "\n".join([head, *numbered])


def result(text: str, name: str = "read_file") -> ToolMessage:
    return ToolMessage("read_1", name, text)


async def turns(
    model: EmbeddedModel, conversation: Sequence[Message], count: int, seed: int | None = None
) -> list[TurnDone]:
    specs = toolset("generic").tools
    found = model.candidates(conversation, specs, Sampling(seed=seed), count)  # type: ignore[arg-type]
    return [done async for done in found]


def calls(done: TurnDone) -> list[tuple[str, dict[str, object]]]:
    return [(call.name, json.loads(call.arguments)) for call in done.message.calls]


@pytest.fixture(scope="module")
def model() -> EmbeddedModel:
    loaded = EmbeddedModel()
    asyncio.run(loaded.prepare())
    return loaded


pytestmark = pytest.mark.model


async def test_first_the_suspect_code_is_read(model: EmbeddedModel) -> None:
    [done] = await turns(model, [TASK], 50)
    [(name, arguments)] = calls(done)
    assert (name, arguments["path"], arguments["start_line"]) == ("read_file", "doors.py", 1)


async def test_what_is_left_of_a_long_file_is_read_next(model: EmbeddedModel) -> None:
    [done] = await turns(model, [TASK, result(page(CODE, 1, 3))], 50)
    [(_, arguments)] = calls(done)
    assert arguments["start_line"] == 4


async def test_a_file_that_was_changed_is_read_again(model: EmbeddedModel) -> None:
    edited = [TASK, result(page(CODE)), AssistantMessage("x"), result("Edited.", "edit_file")]
    [done] = await turns(model, edited, 50)
    assert calls(done)[0][0] == "read_file"


async def test_candidates_are_edits_that_apply_and_parse_and_the_right_one_is_near(
    model: EmbeddedModel,
) -> None:
    found = await turns(model, [TASK, result(page(CODE))], 40)
    programs = []
    for done in found:
        [(name, arguments)] = calls(done)
        assert name == "edit_file"
        old = str(arguments["old_text"])
        assert CODE.count(old) == 1
        changed = CODE.replace(old, str(arguments["new_text"]))
        ast.parse(changed)
        programs.append(changed)
    assert len(set(programs)) == len(programs)
    assert CODE not in programs
    assert CODE.replace(" or ", " and ") in programs


@pytest.mark.nightly
async def test_a_seed_changes_the_order(model: EmbeddedModel) -> None:
    conversation = [TASK, result(page(CODE))]
    one = [calls(done) for done in await turns(model, conversation, 12, seed=1)]
    other = [calls(done) for done in await turns(model, conversation, 12, seed=2)]
    assert one != other


async def test_without_suspects_nothing_is_proposed(model: EmbeddedModel) -> None:
    assert await turns(model, [UserMessage("Do something.")], 5) == []
