"""A token bucket; it knows nothing of clients."""


class Bucket:
    """Holds up to `capacity` tokens and earns one every `interval` seconds."""

    def __init__(self, capacity: int, interval: float, now: float) -> None:
        if capacity < 1 or interval <= 0:
            raise ValueError("a bucket needs a capacity and an interval")
        self.capacity = capacity
        self.interval = interval
        self._tokens = float(capacity)
        self._updated = now

    def _refill(self, now: float) -> None:
        earned = (now - self._updated) // self.interval
        self._tokens = min(self.capacity, self._tokens + earned)
        self._updated = now

    def available(self, now: float) -> int:
        """Whole tokens that could be taken now."""
        self._refill(now)
        return int(self._tokens)

    def take(self, now: float) -> bool:
        """Take one token; False when there is none."""
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait(self, now: float) -> float:
        """Seconds until a token can be taken; 0 when there is one already."""
        self._refill(now)
        return max(0.0, (1 - self._tokens) * self.interval)
