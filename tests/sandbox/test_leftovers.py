"""What a killed process leaves: gone by itself, or at the next open; a living one's is safe."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox import leftovers
from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.leftovers import (
    OPENED_LABEL,
    OWNER_LABEL,
    Owner,
    owner_labels,
    remove_leftovers,
    this_process,
)
from tests.remains import owner_of

OPENS = """
import asyncio, sys
from pathlib import Path
from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.leftovers import this_process
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore

async def main():
    store = TreeStore.create(Path(sys.argv[2]))
    base = Base(store, store.add_tree([("a", 0o100644, b"a")]))
    print(this_process().label(), flush=True)
    async with Sandbox.open(Image(sys.argv[1], ""), base, Policy()) as box:
        print("open", flush=True)
        await box.run("setsid sleep 1000 & sleep 1000")

asyncio.run(main())
"""


def start(image: Image, folder: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", OPENS, image.reference, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=os.getcwd())
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def gone(engine: Engine, label: str) -> None:
    """Nothing of an owner is there any more, within the time that a removal may take."""
    deadline = time.monotonic() + 5
    while of_owner(engine, label):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def of_owner(engine: Engine, label: str) -> list[Any]:
    found = engine.api.containers(all=True, filters={"label": f"{OWNER_LABEL}={label}"})
    return list(found)


@pytest.mark.docker
def test_a_killed_host_leaves_no_container(image: Image, engine: Engine, tmp_path: Path) -> None:
    process, label = start(image, tmp_path / "store")
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    time.sleep(0.3)
    assert len(of_owner(engine, label)) == 1
    process.kill()
    process.wait()
    gone(engine, label)


@pytest.mark.docker
def test_a_container_that_never_started_is_swept_when_its_owner_is_dead(
    image: Image, engine: Engine
) -> None:
    dead = Owner(this_process().boot, this_process().namespace, 2**22 + 1, "12345")
    own = engine.api.create_container(image.reference, "true", labels=owner_labels())["Id"]
    labels = {OWNER_LABEL: dead.label(), OPENED_LABEL: "1"}
    engine.api.create_container(image.reference, "true", labels=labels)
    try:
        remove_leftovers(engine.api)
        assert of_owner(engine, this_process().label())[0]["Id"] == own
        gone(engine, dead.label())
    finally:
        engine.api.remove_container(own, force=True)


CREATES = """
import sys
from sandbox.engine import shared_engine
from sandbox.leftovers import owner_labels
from sandbox.scratch import process_folder
process_folder()
shared_engine().api.create_container(sys.argv[1], "true", labels=owner_labels())
print("created", flush=True)
sys.stdin.read()
"""


@pytest.mark.docker
def test_a_container_that_never_started_goes_with_a_killed_owner_by_itself(
    image: Image, engine: Engine
) -> None:
    command = [sys.executable, "-c", CREATES, image.reference]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        label = owner_of(process.pid)
        assert process.stdout is not None
        assert process.stdout.readline() == "created\n"
        assert of_owner(engine, label)
        process.kill()
    gone(engine, label)


def test_an_owner_survives_the_way_through_a_label() -> None:
    owner = this_process()
    assert Owner.parse(owner.label()) == owner
    assert owner.alive() is True
    for text in ("", "a/b/c", "a/b/x/d", "a/b/1/c/d", f"a/b/{'9' * 5000}/d"):
        assert Owner.parse(text) is None


def test_a_process_is_dead_when_it_ended_and_when_its_pid_came_again() -> None:
    process = subprocess.Popen(["sleep", "30"])
    started = leftovers._start_time(process.pid)
    here = this_process()
    owner = Owner(here.boot, here.namespace, process.pid, started)
    assert owner.alive() is True
    assert Owner(here.boot, here.namespace, process.pid, "1").alive() is False
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert owner.alive() is False  # although nobody has asked for its end yet
    process.wait()
    assert owner.alive() is False


def test_owners_out_of_sight_are_only_judged_by_age() -> None:
    now = 1_000_000_000.0
    here = this_process()
    for foreign in (
        Owner("other-boot", here.namespace, 1, "1"),
        Owner(here.boot, "pid:[1]", 1, "1"),
    ):
        assert foreign.alive() is None
        young = {OWNER_LABEL: foreign.label(), OPENED_LABEL: str(int(now - 3600))}
        old = {OWNER_LABEL: foreign.label(), OPENED_LABEL: str(int(now - 90000))}
        assert not leftovers._is_leftover(young, now)
        assert leftovers._is_leftover(old, now)
    assert not leftovers._is_leftover({OWNER_LABEL: "odd"}, now)
    assert not leftovers._is_leftover({OWNER_LABEL: "odd", OPENED_LABEL: "9" * 5000}, now)
