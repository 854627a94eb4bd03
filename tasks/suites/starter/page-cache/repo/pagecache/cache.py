"""Keeps the entries that were used last, each for a limited time."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from pagecache.stats import Stats


class Cache:
    """At most `capacity` entries, none older than `lifetime` seconds.

    A full cache makes room by dropping the entry that was not used for longest.
    """

    def __init__(
        self,
        capacity: int,
        lifetime: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1:
            raise ValueError("a cache holds at least one entry")
        self.capacity = capacity
        self.lifetime = lifetime
        self.stats = Stats()
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The entry, which counts as used now; the default when there is none or it is too old."""
        if key in self._entries:
            stored_at, value = self._entries[key]
            if self._clock() - stored_at < self.lifetime:
                self._entries.move_to_end(key)
                self.stats.hits += 1
                return value
            del self._entries[key]
        self.stats.misses += 1
        return default

    def put(self, key: Hashable, value: Any) -> None:
        self._entries[key] = (self._clock(), value)
        self._entries.move_to_end(key)
        while len(self._entries) > self.capacity:
            self._entries.popitem(last=True)
            self.stats.evictions += 1

    def clear(self) -> None:
        self._entries.clear()
