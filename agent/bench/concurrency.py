"""How many attempts use a model at a time: as many as make it faster, and no more.

A server of a model is slow when it has too little to do at once, and slower when it has too much:
then its KV cache is full, conversations are thrown out of it and have to be read anew. Where the
server tells how full it is, that decides; elsewhere what comes out of it does.
"""

from dataclasses import dataclass

#: The share of the KV cache above which it is about to thrash, and below which there is room.
FULL, ROOM = 0.9, 0.8
#: Throughput has to rise by this share for more attempts at a time to be worth it.
_WORTH = 0.05
#: Looks that nothing is tried for after a step back: at first, and at most.
_HOLD, _LONGEST_HOLD = 3, 24
START = 4


@dataclass(frozen=True)
class Sample:
    """What was seen since the last look: tokens written a second, whether as many attempts were at
    work as are allowed, and what the server told of itself (None: nothing)."""

    rate: float
    full: bool
    cache: float | None = None
    waiting: int | None = None


class Controller:
    """Sets `limit`, from 1 to `most`, from one sample after another.

    It doubles while throughput rises with it, then goes back to what was as fast, and tries a
    little more now and then.
    """

    def __init__(self, most: int, *, start: int = START) -> None:
        self.most = most
        self.limit = min(start, most)
        self._doubling = True
        self._hold = 0
        self._next_hold = _HOLD
        #: The limit and the throughput before the last step up, None where none is being tried.
        self._before: tuple[int, float] | None = None

    def take(self, sample: Sample) -> int:
        """The limit from now on."""
        if self._is_too_much(sample):
            self._back_off(sample)
        elif self._hold:
            self._hold -= 1
        elif sample.full:
            self._judge_step(sample)
        return self.limit

    def _is_too_much(self, sample: Sample) -> bool:
        return bool(sample.waiting) or (sample.cache is not None and sample.cache >= FULL)

    def _back_off(self, sample: Sample) -> None:
        """To three quarters, or by what waits, where that is less; again, if need be."""
        less = self.limit // 4
        if sample.waiting and (sample.cache is None or sample.cache < FULL):
            less = min(less, sample.waiting)
        self.limit = max(1, self.limit - max(1, less))
        self._settle()

    def _judge_step(self, sample: Sample) -> None:
        """Whether the last step up was worth it, and the next one."""
        if self._before is not None:
            limit, rate = self._before
            if sample.rate < rate * (1 + _WORTH):
                self.limit = limit
                self._settle()
                return
            self._next_hold = _HOLD
        cramped = sample.cache is not None and sample.cache >= ROOM
        if self.limit < self.most and not cramped:
            self._before = (self.limit, sample.rate)
            self.limit = min(self.most, self.limit + self._step())
        else:
            self._before = None

    def _step(self) -> int:
        return self.limit if self._doubling else max(1, self.limit // 8)

    def _settle(self) -> None:
        self._before, self._doubling = None, False
        self._hold = self._next_hold
        self._next_hold = min(2 * self._next_hold, _LONGEST_HOLD)
