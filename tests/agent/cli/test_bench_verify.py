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
    again = user.greenroom(
        "bench", "rescore", str(user.home / "v"), *words[:-1], str(user.home / "r")
    )
    assert again.returncode == 0, again.stderr
    assert "1 of 2 solved (50.0%)" in again.stdout
