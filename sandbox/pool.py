"""Sandboxes opened ahead of their use, so that an attempt or a clean room does not wait for one.

Each is handed out once and closed after its use: no container ever serves two tasks.
"""

import asyncio
import contextlib
from collections.abc import Hashable
from types import TracebackType
from typing import Self

from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.errors import GreenroomError
from sandbox.lifecycle import to_its_end
from sandbox.policy import GIB
from sandbox.recipe import Recipe
from sandbox.threads import in_thread
from sandbox.trees import TreeStore


class _Warm:
    """A sandbox that is being opened, or waits."""

    def __init__(self, recipe: Recipe, size: int, opening: asyncio.Task[Sandbox]) -> None:
        self.recipe = recipe
        self.key = recipe.key
        self.size = size
        self.opening = opening


class Pool:
    """Keeps a sandbox ready for each recipe that was asked for lately. Used as a context manager,
    whose end closes all that wait. Belongs to one event loop.

    At most `count` wait, in at most `memory_bytes` together (as far as can be told beforehand); the
    one whose recipe was asked for the longest ago goes first.
    """

    def __init__(
        self, *, count: int = 2, memory_bytes: int = 4 * GIB, engine: Engine | None = None
    ) -> None:
        self._count = count
        self._memory_bytes = memory_bytes
        self._engine = engine
        self._warm: list[_Warm] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True
        for warm in list(self._warm):
            self._discard(warm)
        while self._closing:
            await to_its_end(asyncio.wait(self._closing))

    @property
    def waiting(self) -> int:
        """How many are opened, or being opened, and not handed out."""
        return len(self._warm)

    async def take(self, recipe: Recipe) -> Sandbox:
        """A sandbox of this recipe that was never used, and another one opened ahead; the caller
        has to close it. Raises as `Sandbox.open` does."""
        box = await self._ready(recipe.key) or await Sandbox.start_new(recipe, self._engine)
        try:
            await self.prepare(recipe)
        except BaseException:
            # Nobody gets it, so nobody else could close it.
            await to_its_end(box.close())
            raise
        return box

    async def prepare(self, recipe: Recipe) -> None:
        """Begin to open a sandbox of this recipe, unless one waits or the bounds leave no room."""
        key, size = recipe.key, await in_thread(recipe.idle_bytes)
        if self._closed or any(warm.key == key for warm in self._warm):
            return
        if size > self._memory_bytes or not self._count:
            return
        while (
            len(self._warm) >= self._count
            or sum(warm.size for warm in self._warm) + size > self._memory_bytes
        ):
            self._discard(self._warm[0])
        opening = asyncio.create_task(Sandbox.start_new(recipe, self._engine))
        self._warm.append(_Warm(recipe, size, opening))

    def forget(self, store: TreeStore) -> None:
        """Closes what waits with a base of this store: nobody will ask for it again."""
        for warm in [one for one in self._warm if one.recipe.base.store.folder == store.folder]:
            self._discard(warm)

    async def settled(self) -> None:
        """Wait until nothing is being opened any more."""
        while opening := [warm.opening for warm in self._warm if not warm.opening.done()]:
            await asyncio.wait(opening)

    async def _ready(self, key: Hashable) -> Sandbox | None:
        """One that waits."""
        for warm in [one for one in self._warm if one.key == key]:
            box = await self._opened(warm)
            if box is not None:
                return box
        return None

    async def _opened(self, warm: _Warm) -> Sandbox | None:
        """The sandbox, None when it could not be opened, has died since, or is another's now."""
        await asyncio.wait({warm.opening})
        if warm not in self._warm:
            return None
        self._warm.remove(warm)
        if warm.opening.cancelled() or warm.opening.exception() is not None:
            # Whoever wants one opens it, and sees the error there.
            return None
        box = warm.opening.result()
        if box.alive:
            return box
        self._close_later(warm)
        return None

    def _discard(self, warm: _Warm) -> None:
        self._warm.remove(warm)
        self._close_later(warm)

    def _close_later(self, warm: _Warm) -> None:
        closing = asyncio.create_task(_close(warm.opening))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _close(opening: asyncio.Task[Sandbox]) -> None:
    """End an opening, or close what it opened."""
    opening.cancel()
    # What the engine does not remove now is swept when a sandbox is opened next.
    with contextlib.suppress(asyncio.CancelledError, GreenroomError):
        await (await opening).close()
