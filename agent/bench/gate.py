"""A bound on how much goes on at a time, which may change while it holds."""

import asyncio
from collections import deque
from types import TracebackType

from agent.bench.job import Paused


class Gate:
    """Lets so many in at a time, in the order in which they came. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._shut = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.inside = 0

    @property
    def waiting(self) -> int:
        """How many wait to be let in."""
        return len(self._waiting)

    def allow(self, most: int) -> None:
        """Changes the bound; who is inside stays."""
        self._most = most
        self._let_in()

    def shut(self) -> None:
        """Lets nobody in any more: who waits or comes gets Paused."""
        self._shut = True
        for future in self._waiting:
            if not future.done():
                future.set_exception(Paused())
        self._waiting.clear()

    async def __aenter__(self) -> None:
        if self._shut:
            raise Paused
        if self.inside < self._most and not self._waiting:
            self.inside += 1
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._leave()  # let in and cancelled at the same moment
            elif future in self._waiting:
                self._waiting.remove(future)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self.inside -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.inside < self._most:
            future = self._waiting.popleft()
            if not future.done():
                self.inside += 1
                future.set_result(None)
