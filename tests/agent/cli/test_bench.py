"""`greenroom bench`, as its user runs it: piped, stopped, killed, and gone on with."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.leftovers import OWNER_LABEL
from tasks.suites import starter
from tests.agent.bench import FINISH
from tests.agent.cli.conftest import User

pytestmark = pytest.mark.docker
TASK = "line-wrap"


@pytest.fixture(autouse=True)
def _image(image: Image) -> None:
    """Is there before any command needs it."""


def shell(command: str) -> dict[str, Any]:
    return {"calls": [{"name": "shell", "arguments": {"command": command}}]}


def solution(name: str) -> dict[str, Any]:
    gold = (starter.gold(name) or b"").decode()
    return shell(f"git apply - <<'PATCH'\n{gold}PATCH")


def scripts(user: User, turns: dict[str, Sequence[Any]]) -> str:
    folder = user.home / "scripts"
    folder.mkdir(exist_ok=True)
    for name, each in turns.items():
        (folder / f"{name}.json").write_text(json.dumps(each))
    return f"script:{folder}"


def results(folder: Path) -> list[dict[str, Any]]:
    path = folder / "results.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if "\n" in line]


def events(folder: Path, kind: str) -> int:
    """How often it happened in all attempts."""
    logs = folder.glob("attempts/*/*/trajectory.jsonl")
    return sum(log.read_text().count(f'"type":"{kind}"') for log in logs)


def begun(user: User, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        user.command("bench", *words),
        cwd=user.home,
        env=user.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def until(process: "subprocess.Popen[str]", folder: Path, kind: str, times: int) -> bool:
    """Waits until something has happened so often; false where the run ended first."""
    deadline = time.monotonic() + 120
    while process.poll() is None:
        if events(folder, kind) >= times:
            return True
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return False


def test_the_own_solution_verifies_and_the_base_does_not(user: User) -> None:
    gold = user.greenroom("bench", "starter", "--gold", "--filter", TASK, "--json", cwd=user.home)
    assert gold.returncode == 0, gold.stderr
    document = json.loads(gold.stdout)
    assert document["counts"] == {"solved": 1}
    assert Path(document["folder"]).parent == user.home / "greenroom-runs"
    assert f"{TASK}: solved (proved)" in gold.stderr
    empty = user.greenroom("bench", "starter", "--empty", "--filter", TASK, cwd=user.home)
    assert empty.returncode == 0, empty.stderr
    assert "0 of 1 solved" in empty.stdout
    assert "1 failed" in empty.stdout


def test_a_model_that_gives_up_has_no_patch_and_another_run_keeps_out_of_its_folder(
    user: User,
) -> None:
    model = scripts(user, {TASK: [FINISH, FINISH]})
    words = ("bench", "starter", "-m", model, "--filter", TASK, "-o", "run")
    done = user.greenroom(*words, cwd=user.home)
    assert done.returncode == 0, done.stderr
    [result] = results(user.home / "run")
    assert (result["status"], result["turns"]) == ("no patch", 2)
    assert "0 of 1 solved" in done.stdout
    again = user.greenroom(*words, cwd=user.home)
    assert "1 done already" in again.stdout
    assert len(results(user.home / "run")) == 1
    other = user.greenroom(*words, "--turn-limit", "3", cwd=user.home)
    assert other.returncode == 2
    assert "its limits.turns is 50, and now it is 3" in other.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "0"], "--limit: expected a number from 1 on"),
        (["--run-cost-limit", "-1"], "--run-cost-limit: expected a number above 0"),
        (["--workers", "none"], "--workers: expected a number from 1 on, or auto"),
        (["--shard", "3/2"], "--shard: expected a part and the number of parts"),
        (["--filter", "zzz"], "fits none of the 26 tasks"),
        (["-m", "script:x"], "--gold and --model were both given"),
    ],
)
def test_wrong_flags_are_told_before_anything_begins(
    user: User, words: list[str], said: str
) -> None:
    done = user.greenroom("bench", "starter", "--gold", "-o", "run", *words, cwd=user.home)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (user.home / "run").exists()


def test_a_dry_run_tells_and_makes_nothing(user: User) -> None:
    words = ("bench", "starter", "--dry-run", "--filter", "line", "-k", "2", "-m", "script:none")
    done = user.greenroom(*words, cwd=user.home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == TASK
    assert "1 task, 2 attempts; patches from: script:none" in done.stdout
    assert not (user.home / "greenroom-runs").exists()


def test_ctrl_c_ends_after_the_turn_and_the_run_goes_on_from_it(user: User) -> None:
    model = scripts(user, {TASK: [shell("sleep 0.3")] * 30 + [FINISH, FINISH]})
    words = ("starter", "-m", model, "--filter", TASK, "-o", "run", "--turn-limit", "8")
    folder = user.home / "run"
    process = begun(user, *words)
    assert until(process, folder, "turn.ended", 2)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped between two turns" in said
    assert "1 attempt left" in said
    assert results(folder) == []
    turns = events(folder, "turn.ended")
    done = user.greenroom("bench", *words, cwd=user.home)
    assert done.returncode == 0, done.stderr
    [result] = results(folder)
    assert result["limit"] == "turn"
    assert events(folder, "turn.started") == 8  # none was taken twice
    assert turns < 8


def test_killed_again_and_again_a_run_doubles_and_loses_nothing(user: User, engine: Engine) -> None:
    names = (TASK, "high-scores")
    model = scripts(
        user,
        {TASK: [shell("true")] * 3 + [FINISH, FINISH], names[1]: [shell("true"), FINISH, FINISH]},
    )
    words = ("starter", "-m", model, "-k", "2", "-w", "2", "-o", "run")
    words += tuple(word for name in names for word in ("--filter", name))
    folder, killed = user.home / "run", []
    finished: dict[Path, bytes] = {}
    for kind, times in (("turn.ended", 3), ("run.ended", 1), ("turn.ended", 11)):
        process = begun(user, *words)
        if until(process, folder, kind, times):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed.append(process.pid)
        for result in results(folder):
            log = folder / result["folder"] / "trajectory.jsonl"
            finished.setdefault(log, log.read_bytes())
    done = user.greenroom("bench", *words, cwd=user.home)
    assert done.returncode == 0, done.stderr
    found = Counter((result["task"], result["attempt"]) for result in results(folder))
    assert found == {(name, attempt): 1 for name in names for attempt in (1, 2)}
    assert finished
    assert all(log.read_bytes() == before for log, before in finished.items())
    labels = [
        container["Labels"][OWNER_LABEL]
        for container in engine.api.containers(all=True, filters={"label": OWNER_LABEL})
    ]
    assert not [label for label in labels if int(label.split("/")[2]) in killed]
