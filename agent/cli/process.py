"""Running a command's coroutine so that signals end it cleanly: no container stays, ever."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Interrupted(Exception):
    """A signal ended the work; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def run(work: Coroutine[Any, Any, Result], *, drain: Callable[[], bool] = lambda: False) -> Result:
    """Runs `work` to its result. Raises Interrupted after SIGINT, SIGTERM or SIGHUP.

    The signal cancels the work, whose context managers then close sandboxes and logs. A second
    signal does not cut that short: it takes milliseconds. On the first SIGINT `drain` is called,
    which may say that the work ends by itself now; the next one then cancels it.
    """
    return asyncio.run(_guarded(work, drain))


async def _guarded(work: Coroutine[Any, Any, Result], drain: Callable[[], bool]) -> Result:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    caught: list[int] = []
    draining = False

    def interrupt(number: int) -> None:
        nonlocal draining
        if number == signal.SIGINT and not draining and not caught and drain():
            draining = True
        elif not caught:
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
