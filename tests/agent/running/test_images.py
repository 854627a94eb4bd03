import asyncio
from collections.abc import Sequence

import pytest

from agent.bench.images import AHEAD, Images
from agent.bench.stock import patiently
from sandbox.errors import SetupError
from sandbox.givenimage import NotPulled
from sandbox.image import Image, ImageSpec
from sandbox.trees import Base

SPECS = [ImageSpec(base=f"image:{number}") for number in range(9)]
BASE: Base = None  # type: ignore[assignment] - none of these is built from files


class Shelf:
    """A disk for `most` images."""

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.here: list[str] = []
        self.prepared: list[str] = []
        self.failing = 0

    async def prepare(self, spec: ImageSpec, _: Base | None) -> Image:
        await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            raise NotPulled(f"{spec.base} could not be pulled")
        name = spec.base or ""
        self.prepared.append(name)
        if name not in self.here:
            self.here.append(name)
        return Image(name, name, spec=spec)

    async def make_room(self, needed: Sequence[Image], gone: Sequence[Image]) -> bool:
        for image in gone:
            if len(self.here) > self.most and image.reference in self.here:
                assert image.reference not in {each.reference for each in needed}
                self.here.remove(image.reference)
        return len(self.here) <= self.most


async def settle() -> None:
    for _ in range(40):
        await asyncio.sleep(0)


async def test_an_image_is_prepared_once_for_all_who_use_it() -> None:
    shelf = Shelf()
    async with Images(shelf.prepare, shelf) as images:

        async def use() -> str:
            async with images.of(SPECS[0], BASE) as image:
                await settle()
                return image.name

        assert await asyncio.gather(*(use() for _ in range(5))) == ["image:0"] * 5
    assert shelf.prepared == ["image:0"]


async def test_what_comes_next_is_prepared_ahead_a_few_at_most() -> None:
    shelf = Shelf()
    async with Images(shelf.prepare, shelf) as images:
        images.expect([SPECS[0], SPECS[0], *SPECS])
        await settle()
        assert shelf.prepared == [f"image:{number}" for number in range(AHEAD)]


async def test_images_that_are_done_with_make_room_and_no_more_are_prepared_than_fit() -> None:
    shelf = Shelf(most=2)
    async with Images(shelf.prepare, shelf) as images:
        for number in range(len(SPECS)):
            images.expect(SPECS[number + 1 :])
            async with images.of(SPECS[number], BASE):
                await settle()
                assert f"image:{number}" in shelf.here
                assert len(shelf.here) <= 4
            await settle()
    assert len(shelf.here) <= 4


async def test_an_image_that_failed_is_prepared_again_when_it_is_asked_for_again() -> None:
    shelf = Shelf()
    shelf.failing = 1
    async with Images(shelf.prepare, shelf) as images:
        with pytest.raises(SetupError):
            async with images.of(SPECS[0], BASE):
                pass
        async with images.of(SPECS[0], BASE) as image:
            assert image.name == "image:0"


async def test_who_waits_for_an_image_may_be_cancelled_without_the_others() -> None:
    shelf = Shelf()
    async with Images(shelf.prepare, shelf) as images:

        async def use() -> str:
            async with images.of(SPECS[0], BASE) as image:
                return image.name

        first, second = asyncio.create_task(use()), asyncio.create_task(use())
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "image:0"


async def test_an_image_that_cannot_be_pulled_is_asked_for_again_a_few_times() -> None:
    shelf, said = Shelf(), list[str]()
    shelf.failing = 2
    image = await patiently(shelf.prepare, SPECS[0], None, said.append, (0.0, 0.0))
    assert image.name == "image:0"
    assert said == ["image:0 could not be pulled; again in 0 s"] * 2
    shelf.failing = 3
    with pytest.raises(NotPulled):
        await patiently(shelf.prepare, SPECS[0], None, said.append, (0.0, 0.0))
