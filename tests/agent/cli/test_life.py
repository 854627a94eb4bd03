"""A solve whose process is killed, whose container is taken away, whose engine dies: what the user
and programs are told, what is left, and that `greenroom resume` goes on."""

import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine import Engine
from sandbox.image import Image
from tests.agent.bench import FIX, call, edit
from tests.agent.cli.conftest import User
from tests.private_engine import PrivateEngine
from tests.remains import Remains, owner_of

pytestmark = pytest.mark.docker

WRONG = edit("a - b", "a * b")
RIGHT = edit("a * b", "a + b")
SLOW = {"calls": [call("shell", command="sleep 60")]}


def started(user: User, *words: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        user.command(*words),
        cwd=user.checkout,
        env=user.environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def log(user: User) -> Path:
    [found] = (user.home / ".local/state/greenroom/runs").glob("*/trajectory.jsonl")
    return found


def events(user: User, kind: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in log(user).read_text().splitlines())
    return [event for event in lines if event["type"] == kind]


def sleeping(user: User, **variables: str) -> "subprocess.Popen[str]":
    """A solve that waits for a command in its second turn."""
    process = started(user, "solve", "--json", "-m", user.script(WRONG, SLOW), **variables)
    assert process.stderr is not None
    for line in process.stderr:
        if "sleep 60" in line:
            return process
    raise AssertionError("it never came so far")


def told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, _ = process.communicate(timeout=60)
    document: dict[str, Any] = json.loads(out)
    assert process.returncode == document["exit_code"] == 3
    return document


def goes_on(user: User, **variables: str) -> None:
    """The run is resumed at the turn that was not completed, and solved."""
    user.script(WRONG, RIGHT)
    done = user.greenroom("resume", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nturn 2\n" in done.stdout
    assert "\nturn 1\n" not in done.stdout
    assert "solved (proved)" in done.stdout


def test_a_container_taken_away_is_named_and_the_run_goes_on(user: User, engine: Engine) -> None:
    process = sleeping(user)
    [box] = events(user, "sandbox")
    engine.api.kill(box["container"])
    document = told(process)
    assert document["cause"] == "killed"
    assert "was killed or stopped from outside" in document["error"]
    assert "leave containers named greenroom-* alone" in document["hint"]
    assert f"greenroom resume {document['run']}" in document["hint"]
    [broken] = events(user, "broken")
    assert (broken["cause"], broken["error"]) == ("killed", document["error"])
    assert f"it broke off: {broken['error']}" in user.greenroom("show").stdout
    goes_on(user)
    assert "it broke off" not in user.greenroom("show").stdout


@pytest.mark.parametrize("how", ["killed", pytest.param("restarted", marks=pytest.mark.nightly)])
def test_an_engine_that_dies_is_named_and_the_run_goes_on(
    user: User, private_engine: PrivateEngine, how: str
) -> None:
    host = {"DOCKER_HOST": private_engine.url}
    process = sleeping(user, **host)
    if how == "killed":
        private_engine.kill()
    else:
        private_engine.terminate()
        private_engine.start()
    document = told(process)
    assert document["cause"] == "engine"
    assert events(user, "broken")[-1]["cause"] == "engine"
    private_engine.start()
    goes_on(user, **host)
    assert private_engine.containers() == []


@pytest.mark.nightly
def test_a_full_disk_is_named_and_the_run_goes_on(
    user: User, image: Image, private_engine: PrivateEngine
) -> None:
    host = {"DOCKER_HOST": private_engine.url}
    script = user.script(WRONG, RIGHT)
    with private_engine.full_disk():
        document = told(started(user, "solve", "--json", "-m", script, **host))
    assert document["cause"] == "disk"
    assert "greenroom prune --images" in document["hint"]
    assert f"greenroom resume {document['run']}" in document["hint"]
    done = user.greenroom("resume", **host)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.nightly
def test_a_solve_killed_at_random_moments_leaves_nothing_and_goes_on(
    user: User, engine: Engine, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    remains = Remains(tmp_path, engine)
    look = {"calls": [call("read_file", path="calc.py"), call("shell", command="sleep 0.3")]}
    script = user.script(look, WRONG, look, RIGHT, FIX)
    owners = []
    for _ in range(5):
        words = ("resume",) if begun(user) else ("solve", "-m", script)
        process = started(user, *words, **remains.variables)
        owners.append(owner_of(process.pid))
        time.sleep(chance.uniform(0.5, 4.0))
        process.kill()
        process.communicate()
    remains.gone(owners, f"kills of solve, seed {seed}")
    words = ("resume",) if begun(user) else ("solve", "-m", script)
    done = user.greenroom(*words, **remains.variables)
    already = done.returncode == 2 and "is solved already" in done.stderr
    assert done.returncode == 0 or already, f"seed {seed}: {done.stdout}{done.stderr}"


def begun(user: User) -> bool:
    """Whether there is a run that can be resumed."""
    logs = (user.home / ".local/state/greenroom/runs").glob("*/trajectory.jsonl")
    return any(path.read_text().count("\n") for path in logs)
