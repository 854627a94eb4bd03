"""How a test run stands while it runs: counts from the plugins' events, else the last line printed.

Only for people to watch: what counts is the report, which is read from the whole run at its end.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tasks.task import FAILING

EVERY = 1.0  # seconds between two looks
LONGEST_LINE = 1 << 20  # of events; those that list the collected ids are the longest


@dataclass(frozen=True)
class TestProgress:
    """Counts of a run so far. `total` is how many tests were collected (None where that is not
    known); `running` is the id of a test that runs now, or else the last line that was printed."""

    __test__ = False

    seconds: float
    done: int
    failing: int
    total: int | None
    running: str


class Tally:
    """Takes a run's events and output as they come."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._events = bytearray()
        self._printed = b""
        self._running: dict[str, None] = {}
        self._done = self._failing = self._collected = 0

    def take_events(self, data: bytes) -> None:
        """Take bytes of the events' pipe; whatever is no event of ours is passed over."""
        *lines, rest = (self._events + data).split(b"\n")
        self._events = rest[:LONGEST_LINE]
        for line in lines:
            with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
                self._take(json.loads(line))

    def take_output(self, data: bytes) -> None:
        """Take bytes that the tests printed."""
        lines = (self._printed + data)[-LONGEST_LINE:].split(b"\n")
        last = [line for line in lines[:-1] if line.strip()]
        self._printed = (last[-1] + b"\n" if last else b"") + lines[-1]

    def progress(self) -> TestProgress:
        said = self._printed.decode("utf-8", "replace").splitlines()
        return TestProgress(
            seconds=time.monotonic() - self._started,
            done=self._done,
            failing=self._failing,
            total=self._collected or None,
            running=next(reversed(self._running), said[0].strip() if said else ""),
        )

    def _take(self, event: dict[str, object]) -> None:
        match event["e"]:
            case "collected":
                self._collected += len(event["ids"])  # type: ignore[arg-type]
            case "run":
                self._running[str(event["id"])] = None
            case "test":
                self._running.pop(str(event["id"]), None)
                self._done += 1
                self._failing += event["status"] in FAILING


@asynccontextmanager
async def watched(tally: Tally, look: Callable[[TestProgress], None] | None) -> AsyncIterator[None]:
    """Shows how a run stands every second of it, for as long as the block lasts."""
    watching = asyncio.create_task(_watch(tally, look)) if look else None
    try:
        yield
    finally:
        if watching is not None:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


async def _watch(tally: Tally, look: Callable[[TestProgress], None]) -> None:
    while True:
        await asyncio.sleep(EVERY)
        look(tally.progress())
