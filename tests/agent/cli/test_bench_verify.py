import json

import pytest

from tasks.suites import starter
from tests.agent.cli.conftest import User

pytestmark = pytest.mark.docker


def test_patches_of_any_tool_are_judged_and_judged_again(user: User) -> None:
    gold = (starter.gold("door-access") or b"").decode()
    rows = [
        {"instance_id": "door-access", "model_patch": gold, "model_name_or_path": "tool"},
        {"instance_id": "line-wrap", "model_patch": "", "model_name_or_path": "tool"},
    ]
    (user.home / "preds.json").write_text(json.dumps(rows))
    words = ("--filter", "door-access", "--filter", "line-wrap", "-o", str(user.home / "v"))
    done = user.greenroom("bench", "verify", "starter", str(user.home / "preds.json"), *words)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 solved (50.0%)" in done.stdout
    lines = (user.home / "v" / "results.jsonl").read_text().splitlines()
    found = {each["task"]: each["status"] for each in map(json.loads, lines)}
    assert found == {"door-access": "solved", "line-wrap": "no patch"}
    assert json.loads((user.home / "v" / "manifest.json").read_text())["made_by"] == "tool"
    made = [json.loads(line) for line in (user.home / "v/predictions.jsonl").open()]
    assert {each["model_name_or_path"] for each in made} == {"tool"}
    again = user.greenroom("bench", "rescore", str(user.home / "v"), "-o", str(user.home / "r"))
    assert again.returncode == 0, again.stderr
    assert "1 of 2 solved (50.0%)" in again.stdout


def test_tasks_without_a_patch_are_told_and_may_be_left_out(user: User) -> None:
    row = {"instance_id": "line-wrap", "model_patch": "no diff"}
    (user.home / "p.jsonl").write_text(json.dumps(row))
    words = ("bench", "verify", "starter", str(user.home / "p.jsonl"), "-o", str(user.home / "v"))
    done = user.greenroom(*words, "--filter", "line-wrap", "--filter", "door-access")
    assert "1 task of 2 have no patch" in done.stderr, done.stderr
    assert "0 of 2 solved" in done.stdout
    done = user.greenroom(*words[:-1], str(user.home / "w"), "--only-given")
    assert "0 of 1 solved" in done.stdout
    assert "no diff" in (user.home / "w/predictions.jsonl").read_text()
    done = user.greenroom(*words, "--run-time-limit", "nan")
    assert (done.returncode, "--run-time-limit" in done.stderr) == (2, True)
