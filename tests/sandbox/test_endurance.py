"""Sandboxes that were opened and closed leave nothing in this process."""

import asyncio
import os
import threading

import pytest

from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.policy import MIB, Policy
from sandbox.trees import Base

pytestmark = [pytest.mark.docker, pytest.mark.asyncio]

SMALL = Policy(
    memory_bytes=300 * MIB,
    workspace_bytes=32 * MIB,
    workspace_inodes=8192,
    tmp_bytes=16 * MIB,
    home_bytes=16 * MIB,
)


def held() -> tuple[list[str], list[str]]:
    """The names of this process's threads, and what its descriptors are."""
    kinds = []
    for name in os.listdir("/proc/self/fd"):
        try:
            kinds.append(os.readlink(f"/proc/self/fd/{name}").partition("[")[0])
        except FileNotFoundError:
            continue  # the one that listed them
    return sorted(thread.name for thread in threading.enumerate()), sorted(kinds)


async def open_and_close(engine: Engine, image: Image, base: Base) -> None:
    async with Sandbox.open(image, base, SMALL, engine=engine) as box:
        assert (await box.run(["true"])).ok


async def test_opening_and_closing_leaves_no_thread_and_no_descriptor(
    image: Image, make_base
) -> None:
    base = make_base({"a.txt": "a\n"})
    engine = await asyncio.to_thread(Engine.connect)
    try:
        # As many connections at a time as one after the other will not need.
        await asyncio.gather(*(open_and_close(engine, image, base) for _ in range(4)))
        before = held()
        for _ in range(6):
            await open_and_close(engine, image, base)
        assert held() == before
    finally:
        engine.close()
