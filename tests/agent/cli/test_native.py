import json
from pathlib import Path

import pytest

from agent.models.base import Model, ModelInfo
from agent.session import choose_toolset
from sandbox.errors import UsageError
from sandbox.trees import TreeStore
from tasks.suites import suite
from tests.agent.bench import call
from tests.agent.cli.conftest import User

FIX = call(
    "repo_browser.apply_patch",
    patch="*** Begin Patch\n*** Update File: calc.py\n@@\n-    return a - b\n+    return a + b\n"
    "*** End Patch",
)


def look(command: str) -> dict[str, object]:
    return {"calls": [call("container.exec", command=["bash", "-lc", command])]}


def events(user: User) -> list[dict[str, object]]:
    [log] = (user.home / ".local/state/greenroom/runs").glob("*/trajectory.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.docker
@pytest.mark.nightly
def test_the_tools_of_gpt_oss_solve_a_task_and_a_resume_keeps_them(user: User) -> None:
    script = user.script(look("cat calc.py"), {"calls": [FIX]})
    words = ("solve", "-m", script, "--toolset", "gpt-oss", "--turn-limit", "1")
    assert user.greenroom(*words).returncode == 1
    done = user.greenroom("resume", "--turn-limit", "5")
    assert done.returncode == 0, done.stderr
    started, *rest = events(user)
    assert started["toolset"] == "gpt-oss"
    results = [event for event in rest if event["type"] == "result"]
    assert [result["ok"] for result in results] == [True, True]
    [told] = [event["messages"][0]["text"] for event in rest if event["type"] == "epoch"]
    assert "run_tests" not in told
    assert "finish" not in told
    assert "end with a final message" in told


@pytest.mark.docker
@pytest.mark.nightly
def test_a_record_is_played_with_its_own_tools(user: User) -> None:
    script = user.script({"calls": [FIX]})
    assert user.greenroom("solve", "-m", script, "--toolset", "gpt-oss").returncode == 0
    [log] = (user.home / ".local/state/greenroom/runs").glob("*/trajectory.jsonl")
    again = user.greenroom("solve", "-m", f"script:{log}")
    assert again.returncode == 0, again.stdout + again.stderr


class Served(Model):
    info = ModelInfo("m", "vllm")

    def generate(self, conversation, tools, sampling):  # type: ignore[no-untyped-def]
        raise NotImplementedError


def test_a_model_says_which_tools_it_knows_best(tmp_path: Path) -> None:
    model = Served()
    task = suite.load("starter/line-wrap", TreeStore.create(tmp_path / "trees"))
    assert choose_toolset("auto", model, task).name == "generic"
    with pytest.raises(UsageError, match="only its own format can write"):
        choose_toolset("gpt-oss", model, task)
    model.toolset = "gpt-oss"
    assert choose_toolset("auto", model, task).name == "gpt-oss"
    assert choose_toolset("generic", model, task).name == "generic"
