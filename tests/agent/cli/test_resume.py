import json
from pathlib import Path

import pytest

from agent.trajectory import VERSION
from tests.agent.bench import FIX, call, edit
from tests.agent.cli.conftest import User

STARTED = {
    "v": VERSION,
    "seq": 1,
    "time": "2026-01-01T00:00:00.000+00:00",
    "type": "run.started",
    "run": "a",
    "greenroom": "0",
    "task": {"instruction": "mend it", "id": "t"},
    "model": {"name": "script:x"},
    "sampling": {},
    "limits": {},
    "settings": {"model": "script:x"},
}


def run_folder(user: User, name: str, log: str | None = None) -> Path:
    folder = user.home / ".local/state/greenroom/runs" / name
    folder.mkdir(parents=True)
    if log is not None:
        (folder / "trajectory.jsonl").write_text(log)
    return folder


def test_without_runs_there_is_nothing_to_resume(user: User) -> None:
    done = user.greenroom("resume")
    assert done.returncode == 2
    assert "there are no runs yet" in done.stderr


def test_a_name_that_fits_no_run_or_several(user: User) -> None:
    run_folder(user, "20260101-one")
    run_folder(user, "20260101-two")
    unknown = user.greenroom("resume", "three")
    assert unknown.returncode == 2
    assert "no run 'three'" in unknown.stderr
    several = user.greenroom("resume", "2026")
    assert several.returncode == 2
    assert "fits 2 runs: 20260101-one, 20260101-two" in several.stderr


@pytest.mark.parametrize(
    ("log", "status", "said"),
    [
        (None, "not begun", "no trajectory at "),
        ("", "not begun", "the run stopped before it began"),
        ('{"v": 1, "se', "not begun", "the run stopped before it began"),
        ("garbage\n", "damaged", "line 1: not an event of a trajectory"),
        ('{"v": 999}\n', "damaged", "version 999 of the format"),
    ],
)
def test_a_run_without_a_sound_log(user: User, log: str | None, status: str, said: str) -> None:
    run_folder(user, "20260101-one", log)
    for command in ("resume", "show"):
        done = user.greenroom(command)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert f"20260101-one  {status}" in user.greenroom("runs").stdout


def test_a_run_whose_trees_are_gone(user: User) -> None:
    user.script()
    log = json.dumps(STARTED | {"settings": {"model": f"script:{user.home}/script.json"}})
    run_folder(user, "20260101-one", log + "\n")
    done = user.greenroom("resume")
    assert done.returncode == 3
    assert "Was the run pruned?" in done.stderr


@pytest.mark.docker
def test_a_solved_run_goes_on_with_guidance_only(user: User) -> None:
    script = user.script(FIX, edit("a + b", "b + a"))
    assert user.greenroom("solve", "-m", script, "-q").returncode == 0
    again = user.greenroom("resume")
    assert again.returncode == 2
    assert "is solved already" in again.stderr
    assert "greenroom show " in again.stderr
    assert user.greenroom("resume", "-m", "swap", "--branch", "main").returncode == 2
    guided = user.greenroom("resume", "-m", "swap the operands", "--patch", "-")
    assert guided.returncode == 0, guided.stderr
    assert "+    return b + a" in guided.stdout
    assert "at turn 2" in guided.stderr


@pytest.mark.docker
def test_a_limit_that_was_reached_can_be_raised(user: User) -> None:
    look = {"calls": [call("read_file", path="calc.py")]}
    stopped = user.greenroom("solve", "-m", user.script(look, FIX), "--turn-limit", "1")
    assert stopped.returncode == 1
    assert "not solved: turn limit of 1 reached" in stopped.stdout
    same = user.greenroom("resume")
    assert same.returncode == 1
    raised = user.greenroom("resume", "--turn-limit", "5")
    assert raised.returncode == 0, raised.stderr
    assert "solved (proved)" in raised.stdout
