import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.errors import UsageError
from sandbox.image import Image
from sandbox.leftovers import OWNER_LABEL, this_process
from sandbox.patch import FILE, Change, Patch
from sandbox.policy import MIB, Policy
from sandbox.pool import Pool
from sandbox.rebuild import Rebuild
from sandbox.recipe import Recipe
from sandbox.trees import Base, TreeStore
from tests.sandbox.conftest import MakeBase

pytestmark = [pytest.mark.docker, pytest.mark.asyncio]


@pytest.fixture
def base(make_base: MakeBase) -> Base:
    return make_base({"a.txt": "a\n"})


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool() as pool:
        yield pool


async def test_the_next_one_waits_already(pool: Pool, image: Image, base: Base) -> None:
    seen = set()
    for _ in range(3):
        async with Sandbox.of(Recipe(image, base, Policy()), pool=pool) as box:
            assert (await box.run("cat a.txt; echo b > a.txt")).output.text == "a\n"
            seen.add(box.container_id)
            await pool.settled()
            (waiting,) = (warm.opening.result().container_id for warm in pool._warm)
        assert not box.alive
        async with Sandbox.of(Recipe(image, base, Policy()), pool=pool) as box:
            assert box.container_id == waiting
            seen.add(box.container_id)
    assert len(seen) == 6  # none was handed out twice


async def test_another_recipe_gets_another_sandbox(
    pool: Pool, image: Image, base: Base, make_base: MakeBase
) -> None:
    await pool.prepare(Recipe(image, base, Policy()))
    await pool.settled()
    (first,) = pool._warm
    for recipe in (
        Recipe(image, make_base({"a.txt": "other\n"}), Policy()),
        Recipe(image, base, replace(Policy(), pids=100)),
        Recipe(image, base, Policy(), Rebuild("true")),
        Recipe(image, base, Policy(), None, {"support": b"x"}),
        Recipe(image, base, Policy(), resettable=True),
    ):
        assert recipe.key != first.key
    recipe = Recipe(image, base, Policy(), support={"hint": b"text"})
    async with Sandbox.of(recipe, pool=pool) as box:
        assert (await box.run("cat /run/greenroom/hint")).output.text == "text"
        assert box.container_id != first.opening.result().container_id


async def test_bounds_hold_and_the_oldest_goes_first(image: Image, make_base: MakeBase) -> None:
    bases = [make_base({"n": str(n)}) for n in range(3)]
    async with Pool(count=2) as pool:
        for base in bases:
            await pool.prepare(Recipe(image, base, Policy()))
        assert [warm.key for warm in pool._warm] == [
            Recipe(image, base, Policy()).key for base in bases[1:]
        ]
    recipe = Recipe(image, bases[0], Policy())
    async with Pool(memory_bytes=recipe.idle_bytes() - 1) as pool:
        await pool.prepare(recipe)
        assert pool.waiting == 0
    async with Pool(count=0) as pool, Sandbox.of(recipe, pool=pool) as box:
        assert (await box.run("cat n")).output.text == "0"
        assert pool.waiting == 0


async def test_what_waits_for_a_store_that_nobody_uses_any_more_is_closed(
    pool: Pool, image: Image, base: Base, tmp_path: Path
) -> None:
    store = TreeStore.create(tmp_path / "other.git")
    other = Base(store, store.add_tree([("a.txt", FILE, b"a")]))
    await pool.prepare(Recipe(image, base, Policy()))
    await pool.prepare(Recipe(image, other, Policy()))
    pool.forget(TreeStore.open(store.folder))
    assert [warm.recipe.base for warm in pool._warm] == [base]


async def test_the_end_leaves_nothing(engine: Engine, image: Image, base: Base) -> None:
    async with Pool() as pool:
        await pool.prepare(Recipe(image, base, Policy()))
        await pool.settled()
        ready = pool._warm[0].opening.result()
        await pool.prepare(Recipe(image, base, Policy(), resettable=True))  # still being opened
    assert not ready.alive
    names = {found["Id"] for found in engine.api.containers(all=True)}
    assert ready.container_id not in names
    await pool.prepare(Recipe(image, base, Policy()))
    assert pool.waiting == 0


@pytest.mark.parametrize("warm", [False, True])
async def test_one_that_nobody_gets_is_closed(
    engine: Engine, image: Image, base: Base, warm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, held, go_on = Recipe(image, base, Policy()), asyncio.Event(), threading.Event()
    loop, ours = asyncio.get_running_loop(), {"label": f"{OWNER_LABEL}={this_process().label()}"}

    def slow(_recipe: Recipe) -> int:
        loop.call_soon_threadsafe(held.set)
        go_on.wait(30)
        return 0

    async with Pool() as pool:
        if warm:
            await pool.prepare(recipe)
            await pool.settled()
        monkeypatch.setattr(Recipe, "idle_bytes", slow)
        taking = asyncio.create_task(pool.take(recipe))
        await held.wait()
        assert engine.api.containers(all=True, filters=ours)
        taking.cancel()  # as at Ctrl-C, while the next one is thought of
        with pytest.raises(asyncio.CancelledError):
            await taking
        go_on.set()
        assert engine.api.containers(all=True, filters=ours) == []


async def test_one_that_died_while_it_waited_is_not_handed_out(
    pool: Pool, engine: Engine, image: Image, base: Base
) -> None:
    await pool.prepare(Recipe(image, base, Policy()))
    await pool.settled()
    ready = pool._warm[0].opening.result()
    await asyncio.to_thread(engine.api.remove_container, ready.container_id, force=True)
    while ready.alive:
        await asyncio.sleep(0.01)
    async with Sandbox.of(Recipe(image, base, Policy()), pool=pool) as box:
        assert (await box.run("true")).ok


async def test_what_cannot_be_opened_fails_where_it_is_wanted(
    pool: Pool, image: Image, base: Base
) -> None:
    broken = Recipe(image, base, Policy(), Rebuild("false"))
    await pool.prepare(broken)
    with pytest.raises(UsageError, match="rebuild step `false` fails"):
        await pool.take(broken)


async def test_a_fork_comes_from_the_pool_with_the_change(
    pool: Pool, image: Image, base: Base
) -> None:
    async with Sandbox.of(Recipe(image, base, Policy()), pool=pool) as box:
        await pool.settled()
        waiting = pool._warm[0].opening.result().container_id
        await box.write("b.txt", b"new\n")
        async with box.fork(pool=pool) as fork:
            assert fork.container_id == waiting
            assert (await fork.run("cat a.txt b.txt")).output.text == "a\nnew\n"
            assert await fork.delta() == await box.delta()


async def test_a_patch_is_applied_on_opening(pool: Pool, image: Image, base: Base) -> None:
    patch = Patch((Change("c.txt", FILE, b"c\n"),))
    recipe = Recipe(image, base, Policy(tmp_bytes=64 * MIB))
    async with Sandbox.of(recipe, patch=patch, pool=pool) as box:
        assert (await box.run("cat c.txt")).output.text == "c\n"
