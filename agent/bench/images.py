"""The images of a run's tasks: each prepared once, ahead of need, within a budget of disk."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sandbox.image import Image, ImageSpec
from sandbox.trees import Base

Prepare = Callable[[ImageSpec, Base | None], Awaitable[Image]]
#: A spec, with the tree of the task's base where the image is built from files of it.
_Key = tuple[ImageSpec, str]


class Images:
    """Prepares images with `prepare`. Used as a context manager, whose end stops what is still
    being prepared. Belongs to one event loop."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._made: dict[_Key, asyncio.Task[Image]] = {}
        self._used: Counter[_Key] = Counter()

    async def __aenter__(self) -> "Images":
        return self

    async def __aexit__(self, *error: Any) -> None:
        for making in self._made.values():
            making.cancel()
        await asyncio.gather(*self._made.values(), return_exceptions=True)

    def expect(self, specs: Sequence[ImageSpec]) -> None:
        """Begins to prepare images that will be asked for soon. One that is built from files of a
        task's base is not: it is built when that is there."""
        for spec in specs:
            if not _takes_files(spec) and (spec, "") not in self._made:
                self._begin((spec, ""), None)

    @asynccontextmanager
    async def of(self, spec: ImageSpec, base: Base) -> AsyncIterator[Image]:
        """The image of `spec`, which stays while it is used. Raises as `ensure_image` does."""
        key = (spec, base.tree if _takes_files(spec) else "")
        self._used[key] += 1
        try:
            making = self._made.get(key) or self._begin(key, base)
            yield await asyncio.shield(making)
        finally:
            self._used[key] -= 1

    def _begin(self, key: _Key, base: Base | None) -> asyncio.Task[Image]:
        making = asyncio.ensure_future(self._make(key, base))
        self._made[key] = making
        making.add_done_callback(lambda done: self._forget_failed(key, done))
        return making

    async def _make(self, key: _Key, base: Base | None) -> Image:
        return await self._prepare(key[0], base)

    def _forget_failed(self, key: _Key, done: "asyncio.Task[Image]") -> None:
        """What could not be made is made again when it is asked for again."""
        if done.cancelled() or done.exception() is not None:
            self._made.pop(key, None)


def _takes_files(spec: ImageSpec) -> bool:
    """Whether an image is built from files of the task's base."""
    return spec.dockerfile is not None or bool(spec.create)
