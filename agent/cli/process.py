"""Running a command's coroutine so that signals end it cleanly: no container stays, ever."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Interrupted(Exception):
    """A signal ended the work; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs `work` to its result. Raises Interrupted after SIGINT, SIGTERM or SIGHUP.

    The signal cancels the work, whose context managers then close sandboxes and logs. A second
    signal does not cut that short: it takes milliseconds.
    """
    return asyncio.run(_guarded(work))


async def _guarded(work: Coroutine[Any, Any, Result]) -> Result:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    caught: list[int] = []

    def interrupt(number: int) -> None:
        if not caught:
            caught.append(number)
            task.cancel()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if caught:
            raise Interrupted(caught[0]) from None
        raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
