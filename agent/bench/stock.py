"""The images of a run on this machine's engine: pulled with patience, removed when done with.

An image that was not here before the run is noted in the run's folder, so that a later sitting
still knows that it may go again; one that was here is never removed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from agent import paths
from agent.bench.images import Images
from agent.request import image_of
from agent.settings import Settings
from sandbox.engine import shared_engine
from sandbox.givenimage import NotPulled
from sandbox.image import Image, ImageSpec
from sandbox.imagestore import keep_within
from sandbox.threads import in_thread
from sandbox.trees import Base

#: Seconds before an image that could not be pulled is asked for again: a registry that bounds how
#: often it is asked lets one in again after minutes.
PAUSES = (5.0, 30.0, 120.0)

Say = Callable[[str], None]
Prepare = Callable[[ImageSpec, Base | None], Awaitable[Image]]


async def patiently(
    prepare: Prepare,
    spec: ImageSpec,
    base: Base | None,
    say: Say,
    pauses: Sequence[float] = PAUSES,
) -> Image:
    """The image that `prepare` makes, asked for again after each pause where it could not be
    pulled. Raises what `prepare` raises."""
    for pause in pauses:
        try:
            return await prepare(spec, base)
        except NotPulled as error:
            say(f"{error.message}; again in {pause:g} s")
            await asyncio.sleep(pause)
    return await prepare(spec, base)


class LocalStock:
    """The images on this machine's engine, within `budget` bytes for all that are ours or that the
    run has pulled; `noted` is the file of the latter."""

    def __init__(self, budget: int, noted: Path, say: Say) -> None:
        self._budget = budget
        self._noted = noted
        self._say = say
        self._pulled = noted.read_text("utf-8").splitlines() if noted.exists() else []

    async def note(self, spec: ImageSpec) -> None:
        """Notes an image that is about to be pulled."""
        if spec.base and spec.base not in self._pulled and not await in_thread(_size, spec.base):
            self._pulled.append(spec.base)
            with self._noted.open("a", encoding="utf-8") as stream:
                stream.write(f"{spec.base}\n")

    async def make_room(self, needed: Sequence[Image], gone: Sequence[Image]) -> bool:
        return await in_thread(self._make_room, needed, gone)

    def _make_room(self, needed: Sequence[Image], gone: Sequence[Image]) -> bool:
        sizes = {name: _size(name) for name in self._pulled}
        done = keep_within(
            max(0, self._budget - sum(sizes.values())),
            cache=paths.cache_folder(),
            done_with={image.reference for image in gone},
            needed={image.reference for image in needed},
        )
        removed = len(done.removed)
        kept = {image.spec.base for image in needed}
        for name, size in sizes.items():
            over = done.left_bytes + sum(sizes.values()) > self._budget
            if over and size and name not in kept and _removed(name):
                sizes[name] = 0
                removed += 1
        if removed:
            self._say(f"image_budget: removed {removed} images that are done with")
        return done.left_bytes + sum(sizes.values()) <= self._budget


def _size(name: str) -> int:
    """The bytes of an image, 0 where it is not here. Blocks."""
    import docker  # noqa: PLC0415

    with suppress(docker.errors.ImageNotFound):
        return int(shared_engine().api.inspect_image(name)["Size"])
    return 0


def _removed(name: str) -> bool:
    """Removes an image unless something stands on it or uses it; whether it is gone. Blocks."""
    import docker  # noqa: PLC0415

    try:
        shared_engine().api.remove_image(name)
    except docker.errors.APIError as error:
        return bool(error.status_code == 404)
    return True


def images_on_this_machine(
    found: Settings,
    folder: Path,
    say: Say,
    made: Callable[[ImageSpec, Image], None] = lambda _spec, _image: None,
) -> Images:
    """The images of a run that is kept in `folder`, made as the settings say; `made` is told of
    each."""
    stock = LocalStock(found["image_budget"], folder / "pulled.txt", say)

    async def prepare(spec: ImageSpec, base: Base | None) -> Image:
        await stock.note(spec)
        image = await image_of(spec, found, say, checkout=base)
        made(spec, image)
        return image

    return Images(lambda spec, base: patiently(prepare, spec, base, say), stock)
