"""SIGKILL of a process with sandboxes at any moment of its life: nothing of it is left after."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.trees import TreeStore
from tests.remains import Remains, owner_of

pytestmark = pytest.mark.docker

# Enough for an opening and a whole round of what a sandbox does; the opening is tried most.
OPENING, ROUND = 0.8, 2.5
KILLS = 30
SIDE_BY_SIDE = 4

# Forks a child for each line that it reads: starting Python anew would take most of the time.
ZYGOTE = """
import asyncio, os, signal, sys
from pathlib import Path
import docker
from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore

image, store, tree = sys.argv[1:]

async def live():
    base = Base(TreeStore.open(Path(store)), tree)
    while True:
        async with Sandbox.open(Image(image, ""), base, Policy(), resettable=True) as box:
            await box.run("setsid sleep 1000 & echo x > b; sleep 0.05")
            await box.reset()
            await box.write("c", b"c")
            async with box.fork() as other:
                await asyncio.gather(box.run("sleep 0.1"), other.run("cat c"))

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if os.fork() == 0:
        os.write(1, f"{os.getpid()}\\n".encode())
        asyncio.run(live())
"""
BUILDS = """
import asyncio, sys
from sandbox.image import ImageSpec, ensure_image
spec = ImageSpec(setup=("sleep 60 # " + sys.argv[1],))
asyncio.run(ensure_image(spec, progress=lambda line: print(line, flush=True)))
"""
Process = subprocess.Popen[str]


@dataclass(frozen=True)
class Victim:
    pid: int
    owner: str
    dies_at: float


@contextmanager
def zygote(image: Image, remains: Remains, folder: Path) -> Iterator[Process]:
    store = TreeStore.create(folder / "store")
    tree = store.add_tree([("a", 0o100644, b"a"), ("src/b.py", 0o100644, b"b = 1\n" * 5000)])
    process = subprocess.Popen(
        [sys.executable, "-c", ZYGOTE, image.reference, str(store.folder), tree],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=remains.environment,
    )
    yield process
    # Nobody but the killer ended any of them.
    assert process.communicate()[1] == ""


def born(zygote: Process, lifetime: float) -> Victim:
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    zygote.stdin.write("\n")
    zygote.stdin.flush()
    pid = int(zygote.stdout.readline())
    return Victim(pid, owner_of(pid), time.monotonic() + lifetime)


def lifetimes(seed: int) -> list[float]:
    chance = random.Random(seed)
    opening = [chance.uniform(0, OPENING) for _ in range(KILLS * 3 // 5)]
    later = [chance.uniform(OPENING, ROUND) for _ in range(KILLS - len(opening))]
    both = [*opening, *later]
    chance.shuffle(both)
    return both


def all_killed(zygote: Process, waiting: list[float]) -> list[str]:
    """As many owners as there are lifetimes, each killed at the end of its own."""
    owners = []
    living: list[Victim] = []
    while waiting or living:
        while waiting and len(living) < SIDE_BY_SIDE:
            living.append(born(zygote, waiting.pop()))
            owners.append(living[-1].owner)
        first = min(living, key=lambda victim: victim.dies_at)
        time.sleep(max(0.0, first.dies_at - time.monotonic()))
        os.kill(first.pid, signal.SIGKILL)
        living.remove(first)
    return owners


def test_nothing_is_left_of_processes_killed_at_random_moments(
    image: Image, engine: Engine, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 32)
    remains = Remains(tmp_path, engine)
    with zygote(image, remains, tmp_path) as process:
        owners = all_killed(process, lifetimes(seed))
        remains.gone(owners, f"{KILLS} kills, seed {seed}")
    assert len(set(owners)) == KILLS


def test_nothing_is_left_of_a_process_killed_while_it_builds_an_image(
    image: Image, engine: Engine, tmp_path: Path
) -> None:
    remains = Remains(tmp_path, engine)
    command = [sys.executable, "-c", BUILDS, str(tmp_path)]
    with Process(command, stdout=subprocess.PIPE, text=True, env=remains.environment) as process:
        owner = owner_of(process.pid)
        assert process.stdout is not None
        while not process.stdout.readline().startswith("setup command"):
            pass
        assert remains.containers([owner])
        process.kill()
    remains.gone([owner], "a kill")
