"""The supervisor at work on a workspace that a command changes all the while."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio

from sandbox.container import FileProblem, Sandbox
from sandbox.errors import PatchError
from sandbox.image import Image
from sandbox.patch import EXECUTABLE, FILE, Change, Patch
from sandbox.policy import Policy

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

EXPECTED = (FileProblem, PatchError, FileNotFoundError, IsADirectoryError, NotADirectoryError)
NAMES = ("a", "lib", "lib/x", "d", "d/e", "d/e/f", "pipe", "link", "deep", ".")
# Without end: files, folders, links and pipes take each other's places, and are closed and opened.
CHAOS = r"""
import os, random, shutil, sys
names = [*sys.argv[2:], "odd\nname", "n" * 200]
random.seed(int(sys.argv[1]))

def write(path):
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as out:
        out.write(os.urandom(random.randrange(200_000)))

def deepen(path):
    os.chdir(path)
    for _ in range(300):
        os.mkdir("deep")
        os.chdir("deep")

targets = ("/etc", "/proc/1", "lib", "..", "a", "/proc/self/root")
works = (
    write, deepen, os.unlink, os.mkdir, os.mkfifo,
    lambda path: shutil.rmtree(path, ignore_errors=True),
    lambda path: os.rename(path, random.choice(names)),
    lambda path: os.symlink(random.choice(targets), path),
    lambda path: os.chmod(path, random.choice((0, 0o444, 0o311, 0o644, 0o755))),
    lambda path: os.truncate(path, random.randrange(1 << 20)),
)
while True:
    try:
        random.choice(works)(random.choice(names))
        os.chdir("/workspace")
    except (OSError, RecursionError):
        pass
"""
PATCH = Patch(
    (
        Change("a", FILE, b"new"),
        Change("lib/x", None, None),
        Change("d/e/f", EXECUTABLE, b"f"),
    )
)


@pytest_asyncio.fixture(loop_scope="module")
async def box(image: Image, make_base: Any) -> AsyncIterator[Sandbox]:
    base = make_base({"a": "1", "lib/x": "2", "lib/y": "3"})
    async with Sandbox.open(image, base, Policy(), resettable=True) as box:
        yield box


async def test_a_tree_that_changes_all_the_while_breaks_nothing(box: Sandbox) -> None:
    chance = random.Random(1)
    works = (
        *(box.read, box.remove, lambda path: box.list(path, depth=1000)),
        *(lambda path: box.write(path, bytes(100_000)), lambda path: box.search("x", path=path)),
        *(
            lambda path: box.run("true", cwd=path),
            lambda _: box.apply(PATCH),
            lambda _: box.delta(),
        ),
    )
    chaos = asyncio.create_task(changing(box, 0))
    for number in range(200):
        if chaos.done():  # it closed the workspace, so that it could not be started there
            await box.reset()
            chaos = asyncio.create_task(changing(box, number))
        with suppress(*EXPECTED):
            await chance.choice(works)(chance.choice(NAMES))
    chaos.cancel()
    with suppress(asyncio.CancelledError):
        await chaos
    await box.reset()
    assert not await box.delta()
    assert box.delta_notes == ()


async def changing(box: Sandbox, seed: int) -> None:
    with suppress(FileProblem):
        await box.run(["python3", "-c", CHAOS, str(seed), *NAMES])
