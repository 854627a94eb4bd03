"""What the attempts at work spend, as their events tell."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.bench.job import Job
from agent.models.base import Price
from agent.trajectory import Event


@dataclass(frozen=True)
class Spent:
    """Tokens in and out, and of them those that the model wrote."""

    tokens: int = 0
    written: int = 0
    cost: float = 0.0


class Meter:
    """Hears events, and counts. `written` and `turns` are all that the model wrote, and took, since
    the meter was made; `first_token_seconds` sums what those turns waited for their first token."""

    def __init__(self, price: Price | None) -> None:
        self._price = price
        self._spent: dict[tuple[str, int], Spent] = {}
        self.turns = 0
        self.written = 0
        self.first_token_seconds = 0.0
        self.began = time.monotonic()
        #: What each attempt at work does now, in words.
        self.doing: dict[tuple[str, int], str] = {}
        #: Is called when something was spent.
        self.told: Callable[[], None] = lambda: None

    def hear(self, job: Job, event: Event) -> None:
        """Takes an event of an attempt at work."""
        if event["type"] == "run.started":
            self._spent[job.key] = Spent()
        elif event["type"] == "turn.started":
            self.doing[job.key] = f"turn {event['turn']}"
        elif event["type"] == "progress":
            self.doing[job.key] = str(event["text"]).rstrip(".")
        if event["type"] not in ("turn", "malformed", "checkpoint"):
            return
        now = self._read(event["usage"])
        # What an earlier process spent on the attempt is not of this one's throughput.
        self.written += now.written - self._spent.get(job.key, now).written
        self._spent[job.key] = now
        if event["type"] == "turn":
            self.turns += 1
            self.first_token_seconds += event.get("first_token_seconds") or 0.0
        self.told()

    def forget(self, key: tuple[str, int]) -> None:
        """Leaves out an attempt that has its result."""
        self._spent.pop(key, None)
        self.doing.pop(key, None)

    def in_flight(self) -> tuple[int, float]:
        """Tokens and US dollars spent on attempts that have no result yet."""
        spent = self._spent.values()
        return sum(each.tokens for each in spent), sum(each.cost for each in spent)

    def _read(self, usage: Mapping[str, Any]) -> Spent:
        read, written = int(usage.get("input_tokens", 0)), int(usage.get("output_tokens", 0))
        price = self._price
        cost = (read * price.input + written * price.output) / 1e6 if price else 0.0
        return Spent(read + written, written, cost)
