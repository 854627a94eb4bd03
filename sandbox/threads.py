"""Threads for what blocks: calls of the engine, reading from a store.

A pool that starts threads as they are needed has one more now and then: one that has just done its
work may not count as idle yet when the next comes. So these are all started at once.
"""

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
COUNT = min(32, (os.cpu_count() or 1) + 4)  # as many as an event loop has of its own


@cache
def _pool() -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(COUNT, "greenroom-sandbox")
    together = threading.Barrier(COUNT)
    for _ in range(COUNT):
        pool.submit(together.wait)
    return pool


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` gives, called in a thread. As `asyncio.to_thread`, in threads of the sandbox."""
    context = contextvars.copy_context()
    call = lambda: context.run(work, *args, **kwargs)  # noqa: E731 - the executor takes no keywords
    return await asyncio.get_running_loop().run_in_executor(_pool(), call)
