"""Harbor's task directories through the door: the solution of what its own `init` makes is worth 1,
and nothing 0."""

import json
from pathlib import Path

import pytest

from sandbox.image import Image
from tests.agent.cli.conftest import User
from tests.tasks.harbor import made

pytestmark = pytest.mark.docker


@pytest.fixture
def suite(user: User, image: Image) -> Path:
    folder = user.home / "tasks"
    made.task(folder / "shared", image.name)
    made.task(folder / "apart", image.name, separate=True)
    made.task(folder / "unfit", image.name, config='\n[[steps]]\nname = "one"\n')
    return folder


def results(folder: Path) -> dict[str, dict[str, object]]:
    lines = (folder / "results.jsonl").read_text().splitlines()
    return {each["task"]: each for each in map(json.loads, lines)}


@pytest.mark.parametrize(
    ("way", "status", "reward"),
    [
        ("gold", "solved", 1.0),
        # tests/tasks/harbor sees in every run that what does not do the work is not solved.
        pytest.param("empty", "failed", 0.0, marks=pytest.mark.nightly),
    ],
)
def test_gold_scores_one_and_empty_zero(
    user: User, suite: Path, way: str, status: str, reward: float
) -> None:
    out = user.home / way
    done = user.greenroom("bench", f"harbor:{suite}", f"--{way}", "-o", str(out))
    assert done.returncode == 0, done.stderr
    found = results(out)
    assert {name: each["status"] for name, each in found.items()} == {
        "shared": status,
        "apart": status,
        "unfit": "unsupported",
    }
    assert found["shared"]["rewards"] == found["apart"]["rewards"] == {"reward": reward}


def test_an_attempt_that_was_cut_off_is_begun_again(user: User, image: Image) -> None:
    suite = made.task(user.home / "bare", image.name, script=made.BARE)
    script = user.home / "script.json"
    call = {"name": "shell", "arguments": {"command": "echo hello >> hello.txt"}}
    finish = {"name": "finish", "arguments": {"summary": "done"}}
    script.write_text(json.dumps([{"calls": [call]}, {"calls": [finish]}]))
    out = user.home / "out"
    words = ("bench", f"harbor:{suite}", "-m", f"script:{script}")
    done = user.greenroom(*words, "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert results(out)["bare"]["status"] == "solved"
    log = out / "attempts" / "bare" / "1" / "trajectory.jsonl"
    whole = log.read_text().splitlines(keepends=True)
    turns = [n for n, line in enumerate(whole) if json.loads(line)["type"] == "turn.ended"]
    log.write_text("".join(whole[: turns[0] + 1]))  # as a kill after the first turn leaves it
    (out / "results.jsonl").unlink()
    again = user.greenroom(*words, "-o", str(out))
    assert again.returncode == 0, again.stderr
    assert results(out)["bare"]["status"] == "solved"
    assert results(out)["bare"]["turns"] == 2
