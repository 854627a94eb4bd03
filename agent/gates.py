"""What an attempt beside others has to wait for: its turn at the model, and a clean room."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

Gate = AbstractAsyncContextManager[Any]


@dataclass(frozen=True)
class Gates:
    """The gates that an attempt goes through, each as often as it needs. An attempt by itself finds
    them open."""

    model: Gate = field(default_factory=nullcontext)
    proving: Gate = field(default_factory=nullcontext)

    def turn(self, waited: Callable[[float], None]) -> Gate:
        """Held while the model takes a turn; `waited` is told the seconds before it."""
        return _passed(self.model, waited)

    def proof(self, waited: Callable[[float], None]) -> Gate:
        """Held while a patch is judged."""
        return _passed(self.proving, waited)


@asynccontextmanager
async def _passed(gate: Gate, waited: Callable[[float], None]) -> AsyncIterator[None]:
    since = time.monotonic()
    async with gate:
        waited(time.monotonic() - since)
        yield


#: For an attempt by itself.
OPEN = Gates()
