"""One hardened container a module, put back before each attack; every attack runs under the uid of
the sandbox's commands, as a model's would. Beside it those that lack one control."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from sandbox.container import CommandResult, Sandbox
from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.probes import PRELUDE
from sandbox.trees import Base, TreeStore
from tests.attacks.controls import POLICY, Control, attack_in, sandbox_without
from tests.plain_container import run_plainly

# In the environment of the host while the sandbox is opened.
SECRET = "not-for-the-inside"
Attack = Callable[[str], Awaitable[CommandResult]]
Without = Callable[..., Awaitable[Sandbox]]
Plainly = Callable[..., str]


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
    return lambda script: attack_in(box, script)


@pytest_asyncio.fixture(loop_scope="module")
async def without(image: Image, base: Base) -> AsyncIterator[Without]:
    """Open a sandbox that lacks the controls given or named (tests/attacks/controls.py)."""
    async with AsyncExitStack() as stack:

        async def opened(*controls: str | Control) -> Sandbox:
            lacking = sandbox_without(*controls, image=image, base=base)
            return await stack.enter_async_context(lacking)

        yield opened


@pytest.fixture
def plainly(engine: Engine, image: Image) -> Plainly:
    """Run a Python script as root in a container with the engine's own defaults, and without a
    system call profile; what it prints."""

    def run(script: str, **options: object) -> str:
        return run_plainly(engine, image, ["python3", "-c", PRELUDE + script], **options)[0]

    return run
