"""The engine killed, restarted, or with a full disk: a named outcome, and nothing left after the
next start."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.ending import HINTS
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError, SetupError
from sandbox.image import Image
from sandbox.policy import Policy
from sandbox.trees import Base
from tests.private_engine import PrivateEngine
from tests.remains import Remains, processes
from tests.sandbox.conftest import MakeBase

pytestmark = pytest.mark.docker

SLEEP = b"sleep\x0076543\x00"  # as the system has the words of that command
OWNS = """
import asyncio, sys
from contextlib import AsyncExitStack
from pathlib import Path
from sandbox.container import Sandbox
from sandbox.engine import shared_engine
from sandbox.image import Image
from sandbox.leftovers import owner_labels
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore

async def main(image, folder):
    store = TreeStore.create(Path(folder))
    base = Base(store, store.add_tree([("a", 0o100644, b"a")]))
    async with AsyncExitStack() as stack:
        boxes = [
            await stack.enter_async_context(Sandbox.open(Image(image, ""), base, Policy()))
            for _ in range(2)
        ]
        # As a killed build leaves it: nobody but us removes this one.
        api = shared_engine().api
        api.create_container(image, "true", labels=owner_labels())
        print("open", flush=True)
        await asyncio.gather(*(box.run("setsid sleep 76543 & sleep 76543") for box in boxes))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def base(make_base: MakeBase) -> Base:
    return make_base({"a": "a"})


@pytest.fixture
def dying(private_engine: PrivateEngine) -> Engine:
    """A connection to the engine that is going to die."""
    return private_engine.connect()


async def usable(image: Image, base: Base, private: PrivateEngine, engine: Engine) -> None:
    """A sandbox opens and works; after it the engine has no container of anybody."""
    async with Sandbox.open(image, base, Policy(), engine=engine) as box:
        assert (await box.run("cat a")).output.text == "a"
    assert private.containers() == []


@pytest.mark.parametrize("how", ["killed", "restarted", "restarted unseen"])
async def test_an_engine_that_dies_under_a_command(
    image: Image, base: Base, private_engine: PrivateEngine, dying: Engine, how: str
) -> None:
    def restart() -> None:
        private_engine.terminate()
        private_engine.start()

    async def die() -> None:
        async with Sandbox.open(image, base, Policy(), engine=dying) as box:
            running = asyncio.create_task(box.run("sleep 1000"))
            await asyncio.sleep(0.2)
            if how == "killed":
                private_engine.kill()
            elif how == "restarted":
                await asyncio.to_thread(restart)
            else:
                restart()  # it is there again when this process looks
            await running

    with pytest.raises(InfrastructureError) as caught:
        await asyncio.wait_for(die(), 60)
    assert (caught.value.cause, caught.value.hint) == ("engine", HINTS["engine"])
    assert "is gone: the engine " in caught.value.message
    private_engine.start()
    await usable(image, base, private_engine, dying)


async def test_an_engine_killed_at_any_moment_of_an_opening(
    image: Image, base: Base, private_engine: PrivateEngine, dying: Engine
) -> None:
    await usable(image, base, private_engine, dying)
    for moment in (0.0, 0.04, 0.08, 0.12, 0.2, 0.3):
        opening = asyncio.create_task(hold(image, base, dying))
        await asyncio.sleep(moment)
        private_engine.kill()
        with pytest.raises(InfrastructureError) as caught:
            await asyncio.wait_for(opening, 60)
        assert caught.value.cause == "engine", (moment, caught.value)
        private_engine.start()
    await usable(image, base, private_engine, dying)


async def hold(image: Image, base: Base, engine: Engine) -> None:
    async with Sandbox.open(image, base, Policy(), engine=engine) as box:
        await box.run("sleep 1000")


async def test_engine_and_process_killed_leave_nothing_after_the_next_start(
    image: Image, base: Base, private_engine: PrivateEngine, dying: Engine, tmp_path: Path
) -> None:
    remains = Remains(tmp_path, dying)
    await asyncio.to_thread(both_die, image, private_engine, remains, tmp_path / "store")
    private_engine.start()
    await usable(image, base, private_engine, dying)
    remains.gone([], "the death of both")
    assert not processes(SLEEP)


def both_die(image: Image, private: PrivateEngine, remains: Remains, store: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNS, image.reference, str(store)],
        stdout=subprocess.PIPE,
        text=True,
        env=remains.environment | {"DOCKER_HOST": private.url},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        deadline = time.monotonic() + 10
        while len(processes(SLEEP)) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        private.kill()
        process.kill()


async def test_a_full_disk_is_named_and_nothing_stays(
    image: Image, base: Base, private_engine: PrivateEngine, dying: Engine
) -> None:
    await usable(image, base, private_engine, dying)
    with private_engine.full_disk(), pytest.raises(SetupError) as caught:
        await hold(image, base, dying)
    assert (caught.value.cause, caught.value.hint) == ("disk", HINTS["disk"])
    assert "disk of the Docker engine is full" in caught.value.message
    await usable(image, base, private_engine, dying)


async def test_a_disk_that_is_full_when_an_image_is_first_used(
    image: Image, base: Base, private_engine: PrivateEngine, dying: Engine
) -> None:
    await usable(image, base, private_engine, dying)
    dying.api.remove_image(dying.ready_image(image.reference), force=True)
    dying.forget_image(image.reference)
    with private_engine.full_disk(), pytest.raises(SetupError) as caught:
        await hold(image, base, dying)
    assert caught.value.cause == "disk"
    await usable(image, base, private_engine, dying)
