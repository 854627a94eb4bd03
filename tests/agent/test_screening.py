import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from agent.budget import Ledger, Limits
from agent.conversation import AssistantMessage, ToolCall
from agent.models.base import TurnDone, Usage
from agent.screening import Screening
from agent.trajectory import Recorder
from agent.workbench import Workbench
from tests.agent.bench import FILES, Bench, Turn, call, edit
from tools.tool import Toolbox
from tools.toolsets import toolset

pytestmark = pytest.mark.docker

FIX = edit("a - b", "a + b")


async def turns(given: list[Turn]) -> AsyncGenerator[TurnDone, None]:
    for number, turn in enumerate(given):
        calls = tuple(
            ToolCall(f"{number}", each["name"], json.dumps(each["arguments"]))
            for each in turn["calls"]
        )
        yield TurnDone(AssistantMessage(f"turn {number}", calls=calls), Usage(1, 1), "calls")


@asynccontextmanager
async def screening(
    bench: Bench, seconds: float = 60, files: Mapping[str, str] = FILES
) -> AsyncIterator[Screening]:
    """A screening on the base, where one test of two fails."""
    recorder = Recorder(bench.log)
    toolbox = Toolbox(toolset("generic").tools)
    task = bench.task(files=files)
    opened = Workbench.open(task, bench.image, recorder, tree=None, resettable=True)
    async with opened as workbench:
        report = await workbench.test("baseline")
        ledger = Ledger(Limits(seconds=seconds), None)
        yield Screening(workbench, toolbox, recorder, ledger, report, task.base.tree)
    recorder.close()


async def test_of_two_good_candidates_the_earlier_one_is_taken_however_slow(bench: Bench) -> None:
    slow = edit("return a - b", "__import__('time').sleep(1.5)\n    return a + b")
    async with screening(bench) as screen:
        best = await screen.screen(turns([slow, FIX, FIX]))
        assert best is not None
        assert best.message.text == "turn 0"
        assert not await screen.bench.box.delta()
    assert [event["number"] for event in bench.events("candidate")] == [1]


async def test_candidates_do_not_see_each_other_and_are_told_in_order(bench: Bench) -> None:
    litter = call("shell", command="echo 'def add(a, b): return 5' > calc.py")
    bad = [edit("a - b", f"a * b * {number}") for number in range(6)]
    async with screening(bench) as screen:
        best = await screen.screen(turns([*bad, {"calls": [litter]}, FIX, FIX]))
    assert best is not None
    assert best.message.text == "turn 7"
    told = [(event["number"], event["failing"]) for event in bench.events("candidate")]
    # Without `double` the test file does not load, so the litter has no count.
    assert told == [*((number, 1) for number in range(1, 7)), (7, None), (8, 0)]


async def test_the_best_is_taken_where_none_turns_everything_green(bench: Bench) -> None:
    async with screening(bench) as screen:
        assert await screen.screen(turns([edit("a - b", "a * b")] * 3)) is None
        assert screen.in_vain == "none of 3 candidates makes fewer tests fail"


async def test_no_proposal_where_no_test_fails_is_told_with_why(bench: Bench) -> None:
    right = FILES["calc.py"].replace("a - b", "a + b")
    async with screening(bench, files=FILES | {"calc.py": right}) as screen:
        assert await screen.screen(turns([])) is None
        assert screen.in_vain.startswith("the model proposed no change; no test fails that would")


async def test_a_turn_that_only_reads_is_taken_as_it_is(bench: Bench) -> None:
    read = {"calls": [call("read_file", path="calc.py")]}
    async with screening(bench) as screen:
        best = await screen.screen(turns([read, FIX]))
        assert best is not None
        assert best.message.text == "turn 0"
    assert len(bench.events("sandbox")) == 1


async def test_candidates_end_with_the_time_and_leave_the_sandbox_usable(bench: Bench) -> None:
    hang = edit("return a - b", "while True: pass")
    async with screening(bench, seconds=3) as screen:
        assert await screen.screen(turns([hang] * 4)) is None
        assert (await screen.bench.box.run("pgrep -c pytest")).exit_code == 1
        assert not await screen.bench.box.delta()
