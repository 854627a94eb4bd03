"""Attempts whose tests the model neither sees nor is told of before it hands its patch in."""

import json

import pytest

from agent.budget import Limits
from sandbox.patch import FILE, Change, Patch
from tasks.task import Task
from tests.agent.bench import FILES, FINISH, FIX, Bench, edit

pytestmark = pytest.mark.docker

VISIBLE = {"calc.py": FILES["calc.py"]}
HIDDEN = Patch((Change("test_calc.py", FILE, FILES["test_calc.py"].encode()),))
WRONG = edit("a - b", "a * b")


def hidden(bench: Bench, tries: int = 1) -> Task:
    checks = {"expected": ("test_calc.py::test_add",), "hidden": HIDDEN}
    return bench.task("Mend add.", VISIBLE, visible=False, tries=tries, **checks)


async def test_the_patch_is_judged_by_tests_that_nobody_was_shown(bench: Bench) -> None:
    outcome = await bench.attempt(hidden(bench), [FIX, FINISH])
    assert outcome.status == "solved"
    assert outcome.grade == "proved"
    assert not bench.events("tests")
    messages = [event["messages"] for event in bench.events("epoch")]
    messages += [event["message"] for event in bench.events("message")]
    assert "test_calc" not in json.dumps(messages)
    assert "-m pytest" not in json.dumps(messages)


async def test_a_single_try_ends_the_attempt_without_a_word_to_the_model(bench: Bench) -> None:
    outcome = await bench.attempt(hidden(bench), [WRONG, FINISH, FIX, FINISH])
    assert outcome.status == "not solved"
    assert outcome.verdict
    assert outcome.verdict.status == "failed"
    assert outcome.turns == 2
    assert not bench.said("reflection")


async def test_a_second_try_gets_what_the_tests_said(bench: Bench) -> None:
    outcome = await bench.attempt(hidden(bench, 2), [WRONG, FINISH, edit("a * b", "a + b"), FINISH])
    assert outcome.status == "solved"
    [told] = bench.said("reflection")
    assert told.startswith("You ended, but a fresh container does not accept the change")
    assert "assert 6 == 5" in told


async def test_what_is_there_when_the_budget_ends_is_handed_in(bench: Bench) -> None:
    outcome = await bench.attempt(hidden(bench), [FIX, FINISH], limits=Limits(turns=1))
    assert outcome.status == "solved"


async def test_a_wrong_change_at_the_end_of_the_budget_is_no_solution(bench: Bench) -> None:
    outcome = await bench.attempt(hidden(bench), [WRONG, FINISH], limits=Limits(turns=1))
    assert outcome.status == "not solved"
    assert outcome.limit == "turn"
    assert outcome.verdict
    assert outcome.verdict.status == "failed"


async def test_an_unchanged_workspace_is_not_handed_in(bench: Bench) -> None:
    outcome = await bench.attempt(hidden(bench), [FINISH, FINISH])
    assert outcome.status == "not solved"
    assert outcome.verdict is None


async def test_tries_of_an_earlier_process_count(bench: Bench) -> None:
    task = hidden(bench, 2)
    await bench.attempt(task, [WRONG, FINISH], limits=Limits(turns=2))
    history = bench.history(task)
    assert history.verdicts == 1
    turns = [WRONG, FINISH, edit("a * b", "a ** b"), FINISH, FIX]
    outcome = await bench.attempt(task, turns, history=history)
    assert outcome.status == "not solved"
    assert "handed in" in outcome.reason
