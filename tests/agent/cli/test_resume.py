import json
import subprocess
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
    "model": {"name": "script:x", "real": False},
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
        ('{"v": 1, "seq": 1}\n', "damaged", "line 1: not an event of a trajectory"),
        (json.dumps(STARTED | {"time": 3}) + "\n", "damaged", "line 1: not an event"),
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


def test_a_log_of_another_shape_harms_no_other_run(user: User) -> None:
    run_folder(user, "20260101-one", json.dumps(STARTED | {"task": {}}) + "\n")
    listed = user.greenroom("runs")
    assert listed.returncode == 0
    assert "20260101-one  damaged" in listed.stdout
    shown = user.greenroom("resume", "20260101-one", "--model", user.script())
    assert shown.returncode in (2, 3)
    assert "fault of ours" not in shown.stderr


def test_a_tree_that_is_no_name_of_one_runs_nothing(user: User) -> None:
    target = user.home / "written"
    tree = f"--output={target}"
    task = {"id": "t", "instruction": "x", "base": {"tree": "0" * 40, "ignore": []}}
    ended = {"turn": 1, "tree": tree, "usage": {}, "seconds": 1, "cost": None}
    events = [
        STARTED | {"task": task, "model": {"name": "x", "real": False, "address": ""}},
        {**ended, "v": VERSION, "seq": 2, "time": STARTED["time"], "type": "turn.ended"},
    ]
    folder = run_folder(user, "20260101-one", "".join(json.dumps(e) + "\n" for e in events))
    subprocess.run(["git", "init", "-q", "--bare", folder / "trees.git"], check=True)
    done = user.greenroom("show")
    assert done.returncode == 3
    assert "is not the name of a tree" in done.stderr
    assert not target.exists()


@pytest.mark.docker
def test_the_latest_run_is_that_of_this_checkout(user: User) -> None:
    user.greenroom("solve", "-m", user.script(FIX), "-q")
    other = user.home / "other"
    subprocess.run(["git", "init", "-q", other], check=True)
    for command in ("resume", "show"):
        done = user.greenroom(command, cwd=other)
        assert done.returncode == 2
        assert f"there is no run of the checkout {other}" in done.stderr
    assert "calc.py" in user.greenroom("show", "--diff").stdout
    assert "calc.py" in user.greenroom("show", "--diff", cwd=user.home).stdout
    assert user.checkout.name in user.greenroom("runs").stdout


def test_a_model_is_no_guidance(user: User) -> None:
    done = user.greenroom("resume", "-m", "ollama:qwen3")
    assert done.returncode == 2
    assert "-m gives guidance here" in done.stderr
    assert "--model ollama:qwen3" in done.stderr


@pytest.mark.docker
def test_a_script_named_from_one_folder_is_found_from_another(user: User) -> None:
    thinking = {"text": "I think."}
    user.script(thinking)
    user.greenroom("solve", "-m", "script:script.json", "-C", str(user.checkout), cwd=user.home)
    user.script(thinking, FIX)
    done = user.greenroom("resume")
    assert done.returncode == 0, done.stderr
