"""Patches that mend nothing and want to be called solved: each ends the tests' command with 0, and
none is solved. A few are judged in every run, all of them with --nightly."""

import asyncio
from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.image import ensure_image
from sandbox.trees import TreeStore
from tasks.rooms import room_recipe
from tasks.verify import verify
from tests.attacks import forgery

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]
ALWAYS = {
    "canaries",
    "conftest",
    "events-through-the-reporter",
    "knows-the-tests-and-reads-them",
    "other-cases-by-a-name",
    "words-of-a-run",
}
NAMES = [
    pytest.param(name, marks=() if name in ALWAYS else pytest.mark.nightly)
    for name in forgery.names()
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_forgery_is_not_solved(name: str, tmp_path: Path) -> None:
    forged = forgery.read(name)
    task = forged.load(TreeStore.create(tmp_path / "store"))
    patch = forged.patch(task)
    image = await ensure_image(task.image, checkout=task.base)

    async def fools() -> bool:
        async with Sandbox.of(room_recipe(task, image)) as box:
            return await forged.fools(box, patch, task.checks.hidden)

    verdict, fooled = await asyncio.gather(verify(task, patch, image=image), fools())
    assert verdict.status == forged.verdict, verdict.reasons
    assert not verdict.solved
    assert any(forged.said in reason for reason in verdict.reasons), verdict.reasons
    assert fooled


async def test_there_are_thirty_at_least() -> None:
    assert len(forgery.names()) >= 30
    assert set(forgery.names()) >= ALWAYS
