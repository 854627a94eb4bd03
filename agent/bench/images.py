"""The images of a run's tasks: each prepared once, ahead of need, within a budget of disk."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from sandbox.image import Image, ImageSpec
from sandbox.trees import Base

Prepare = Callable[[ImageSpec, Base | None], Awaitable[Image]]
#: A spec, with the tree of the task's base where the image is built from files of it.
_Key = tuple[ImageSpec, str]
#: Images that are prepared ahead of need.
AHEAD = 4


class Stock(Protocol):
    """The disk that images lie on."""

    async def make_room(self, needed: Sequence[Image], gone: Sequence[Image]) -> bool:
        """Removes images of the run, `gone` being done with, until all take no more than they may;
        whether they do."""


class Images:
    """Prepares images with `prepare` and keeps `stock` within its bounds. Used as a context
    manager, whose end stops what is still being prepared. Belongs to one event loop."""

    def __init__(self, prepare: Prepare, stock: Stock) -> None:
        self._prepare = prepare
        self._stock = stock
        self._made: dict[_Key, asyncio.Task[Image]] = {}
        self._used: Counter[_Key] = Counter()
        self._expected: tuple[_Key, ...] = ()
        self._gone: dict[str, Image] = {}
        self._room = True

    async def __aenter__(self) -> "Images":
        return self

    async def __aexit__(self, *error: Any) -> None:
        for making in self._made.values():
            making.cancel()
        await asyncio.gather(*self._made.values(), return_exceptions=True)

    def expect(self, specs: Sequence[ImageSpec]) -> None:
        """Prepares the images that will be asked for soon, one after another, while there is room.
        One that is built from files of a task's base is not: it is built when that is there."""
        keys = [(spec, "") for spec in dict.fromkeys(specs) if not takes_files(spec)]
        self._expected = tuple(keys[:AHEAD])
        self._go_ahead()

    def _go_ahead(self) -> None:
        missing = [key for key in self._expected if key not in self._made]
        if missing and self._room and all(making.done() for making in self._made.values()):
            self._begin(missing[0], None)

    @asynccontextmanager
    async def of(self, spec: ImageSpec, base: Base | None) -> AsyncIterator[Image]:
        """The image of `spec`, which stays while it is used; `base` is only needed where it takes
        files. Raises as `ensure_image` does."""
        key = (spec, base.tree if base and takes_files(spec) else "")
        self._used[key] += 1
        try:
            making = self._made.get(key) or self._begin(key, base)
            yield await asyncio.shield(making)
        finally:
            self._used[key] -= 1
            if not self._used[key]:
                del self._used[key]
                self._done_with(key)

    def _begin(self, key: _Key, base: Base | None) -> asyncio.Task[Image]:
        making = asyncio.ensure_future(self._make(key, base))
        self._made[key] = making
        making.add_done_callback(lambda done: self._finished(key, done))
        return making

    async def _make(self, key: _Key, base: Base | None) -> Image:
        image = await self._prepare(key[0], base)
        self._gone.pop(image.reference, None)
        needed = [image, *filter(None, map(_ready, self._made.values()))]
        self._room = await self._stock.make_room(needed, list(self._gone.values()))
        return image

    def _done_with(self, key: _Key) -> None:
        """An image that nobody uses or expects may go; where it is asked for again, it is prepared
        again, which costs nothing while it is here."""
        making = self._made.get(key)
        image = _ready(making) if making and key not in self._expected else None
        if image is not None:
            del self._made[key]
            self._gone[image.reference] = image
            self._room = True

    def _finished(self, key: _Key, done: "asyncio.Task[Image]") -> None:
        """Goes on with the next one. What could not be made is made again when it is asked for
        again."""
        if _ready(done) is None:
            self._made.pop(key, None)
            self._expected = tuple(each for each in self._expected if each != key)
        if not done.cancelled():
            self._go_ahead()


def _ready(making: "asyncio.Task[Image]") -> Image | None:
    """The image, where it was made."""
    made = making.done() and not making.cancelled() and making.exception() is None
    return making.result() if made else None


def takes_files(spec: ImageSpec) -> bool:
    """Whether an image is built from files of the task's base."""
    return spec.dockerfile is not None or bool(spec.create)
