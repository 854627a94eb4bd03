"""One hardened container a module, put back before each attack; every attack runs under the uid of
the sandbox's commands, as a model's would."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from sandbox.container import CommandResult, Sandbox
from sandbox.image import Image
from sandbox.policy import MIB, Policy
from sandbox.probes import PRELUDE
from sandbox.trees import Base, TreeStore

POLICY = Policy(
    memory_bytes=600 * MIB,
    cpus=1.0,
    workspace_bytes=64 * MIB,
    workspace_inodes=20_000,
    tmp_bytes=32 * MIB,
    home_bytes=16 * MIB,
    shm_bytes=16 * MIB,
    command_timeout=60,
)
# In the environment of the host while the sandbox is opened.
SECRET = "not-for-the-inside"
Attack = Callable[[str], Awaitable[CommandResult]]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    store = TreeStore.create(tmp_path_factory.mktemp("attacks") / "store")
    return Base(store, store.add_tree([("kept.txt", 0o100644, b"kept\n")]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(image: Image, base: Base) -> AsyncIterator[Sandbox]:
    os.environ["GREENROOM_PROBE"] = SECRET
    async with Sandbox.open(image, base, POLICY, resettable=True) as box:
        del os.environ["GREENROOM_PROBE"]
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def box(room: Sandbox) -> AsyncIterator[Sandbox]:
    await room.reset()
    yield room
    # Whatever the attack was: the sandbox still works, and nothing of the attack is left.
    await room.reset()
    after = await room.run("cat kept.txt; ls -A ~ /tmp /dev/shm")
    assert after.output.text.strip() == ("kept\n/dev/shm:\n\n/home/sandbox:\n.profile\n\n/tmp:")
    assert not await room.delta()


@pytest.fixture
def attack(box: Sandbox) -> Attack:
    """Run a Python script inside; it prints what happened."""

    async def run(script: str) -> CommandResult:
        return await box.run(["python3", "-c", PRELUDE + script])

    return run
