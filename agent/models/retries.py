"""Which failures of a server are asked again, how often, and after which pause."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

import tenacity

from agent.models.base import Retrying
from agent.models.failures import Kind, Transient
from agent.models.settings import ModelSettings

_LONGEST_PAUSE = 20.0
_LOADING_PAUSE = 3.0
_Item = TypeVar("_Item")


async def persist(
    settings: ModelSettings,
    attempt: Callable[[], AsyncGenerator[_Item, None]],
    failed: Callable[[Transient], None],
) -> AsyncGenerator[_Item | Retrying, None]:
    """What `attempt` gives; where that ends with a Transient, `failed` is told, and there is
    another after a pause, said with `Retrying`. Raises the last Transient when none is left."""
    retries = Retries(settings)
    async for try_at_hand in retries.attempts():
        if retries.failure:
            number = try_at_hand.retry_state.attempt_number
            yield Retrying(retries.failure.reason, retries.pause, number)
            await asyncio.sleep(retries.pause)
        try:
            async with aclosing(attempt()) as items:
                async for item in items:
                    yield item
            return
        except Transient as failure:
            failed(failure)
            retries.failed(try_at_hand, failure)


class Retries:
    """The attempts of one turn.

    `pause` is how long to wait before the attempt at hand and `failure` why there is another; the
    waiting is the caller's, who tells the user first.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self._allowed: dict[Kind, int] = {
            "connection": settings.retries,
            "busy": settings.retries,
            "failing": settings.retries,
            # A server that hangs, and a model that cannot write its call, seldom do better later.
            "stalled": min(1, settings.retries),
            "unparsed": min(2, settings.retries),
        }
        self._loading_limit = settings.first_token_timeout
        self._growing = tenacity.wait_exponential(settings.retry_wait, max=_LONGEST_PAUSE)
        self._jitter = tenacity.wait_random(0, settings.retry_wait)
        self._seen: Counter[Kind] = Counter()
        self.pause = 0.0
        self.failure: Transient | None = None

    def attempts(self) -> AsyncIterator[tenacity.AttemptManager]:
        """One item an attempt; tell it a failure with `failed`. Ends by raising the last one."""
        controller = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Transient),
            stop=self._stop,
            wait=self._wait,
            sleep=self._keep,
            reraise=True,
        )
        return controller.__aiter__()

    def failed(self, attempt: tenacity.AttemptManager, failure: Transient) -> None:
        self.failure = failure
        attempt.retry_state.set_exception((type(failure), failure, failure.__traceback__))

    async def _keep(self, seconds: float) -> None:
        self.pause = seconds

    def _stop(self, state: tenacity.RetryCallState) -> bool:
        failure = self.failure
        if failure is None:
            return True
        if failure.kind == "loading":
            return (state.seconds_since_start or 0.0) > self._loading_limit
        self._seen[failure.kind] += 1
        return self._seen[failure.kind] > self._allowed[failure.kind]

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """What the server asked for, else growing pauses; jitter keeps many from coming at once."""
        failure = self.failure
        if failure is not None and failure.wait is not None:
            return failure.wait + self._jitter(state)
        pause = self._growing(state) + self._jitter(state)
        loading = failure is not None and failure.kind == "loading"
        return min(pause, _LOADING_PAUSE) if loading else pause
