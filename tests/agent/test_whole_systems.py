"""Attempts at tasks whose outcome is a whole file system."""

import asyncio
import json

import pytest

from agent.budget import Limits
from agent.codec import task_data, task_from
from sandbox.errors import UsageError
from sandbox.image import Image, ensure_image
from tasks.suites.harbor import open_suite
from tasks.task import Task
from tests.agent.bench import FINISH, Bench, Turn, call
from tests.tasks.harbor import made

pytestmark = pytest.mark.docker

WRITE: Turn = {"calls": [call("write_file", path="/app/hello.txt", content="hello\n")]}
LOOK: Turn = {"calls": [call("shell", command="pwd; ls -d /tests /solution; cat /srv/note.txt")]}


@pytest.fixture
def task(bench: Bench, image: Image) -> Task:
    folder = made.task(bench.folder / "hello", image.name, script=made.BARE)
    found = open_suite(str(folder)).load("hello", bench.store)
    bench.image = asyncio.run(ensure_image(found.image, checkout=found.base))
    return found


async def test_what_the_container_has_become_is_handed_in(bench: Bench, task: Task) -> None:
    outcome = await bench.attempt(task, [LOOK, WRITE, FINISH])
    assert outcome.status == "solved", outcome.reason
    assert not outcome.patch
    said = json.dumps([event["message"] for event in bench.events("message")])
    assert "a file of the context" in said
    assert said.count("No such file or directory") == 2
    [system] = [m["text"] for m in bench.events("epoch")[0]["messages"] if m["role"] == "system"]
    assert "/app" in system
    assert "/workspace" not in system
    [verdict] = bench.events("verdict")
    assert verdict["verdict"]["rewards"] == {"reward": 1.0}


async def test_what_is_there_at_the_end_of_a_budget_is_judged(bench: Bench, task: Task) -> None:
    outcome = await bench.attempt(task, [LOOK, FINISH], limits=Limits(turns=1))
    assert outcome.status == "not solved"
    assert outcome.verdict
    assert outcome.verdict.status == "failed"
    assert outcome.turns == 1


async def test_several_candidates_are_refused(bench: Bench, task: Task) -> None:
    with pytest.raises(UsageError, match="one candidate"):
        await bench.attempt(task, [WRITE], candidates=2)


def test_a_log_is_never_taken_for_the_state_of_a_container(bench: Bench, task: Task) -> None:
    with pytest.raises(UsageError, match="can only be begun again"):
        task_from(json.loads(json.dumps(task_data(task))), bench.store)
