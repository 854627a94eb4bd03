"""A bucket for each client."""

import time
from collections.abc import Callable

from ratelimit.bucket import Bucket


class TooManyRequests(Exception):
    def __init__(self, client: str, retry_after: float) -> None:
        super().__init__(f"{client} must wait {retry_after:.1f} s")
        self.retry_after = retry_after


class Limiter:
    """`rate` requests in `per` seconds for every client, bursts up to `rate`."""

    def __init__(
        self, rate: int, per: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._interval = per / rate
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def _bucket(self, client: str) -> Bucket:
        if client not in self._buckets:
            self._buckets[client] = Bucket(self._rate, self._interval, self._clock())
        return self._buckets[client]

    def allow(self, client: str) -> bool:
        return self._bucket(client).take(self._clock())

    def check(self, client: str) -> None:
        """Like `allow`, but raises TooManyRequests."""
        bucket = self._bucket(client)
        if not bucket.take(self._clock()):
            raise TooManyRequests(client, bucket.wait(self._clock()))

    def forget_idle(self) -> int:
        """Drop the buckets that are full again; how many there were."""
        now = self._clock()
        idle = [name for name, b in self._buckets.items() if b.available(now) == b.capacity]
        for name in idle:
            del self._buckets[name]
        return len(idle)
