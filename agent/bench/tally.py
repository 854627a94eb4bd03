"""How a run stands: counts and sums over its results, kept up as they come."""

from collections import Counter
from dataclasses import dataclass, field

from agent.bench.record import Result, Status


@dataclass
class Tally:
    """Sums over results. `tokens` are in and out; `cost` is in US dollars, None where some result's
    is not known; `retries` counts what was begun again for reasons of infrastructure."""

    counts: Counter[Status] = field(default_factory=Counter)
    tokens: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0
    retries: int = 0

    def add(self, result: Result) -> None:
        self.counts[result.status] += 1
        self.tokens += tokens_of(result)
        self.seconds += result.seconds
        self.retries += result.retries
        if self.cost is not None:
            told = result.cost if result.cost is not None or result.usage else 0.0
            self.cost = None if told is None else self.cost + told

    @property
    def done(self) -> int:
        return self.counts.total()

    @property
    def solved(self) -> int:
        return self.counts["solved"]

    @property
    def infrastructure(self) -> int:
        return self.counts["infrastructure failed"]

    @property
    def unsupported(self) -> int:
        return self.counts["unsupported"]

    @property
    def unsolved(self) -> int:
        """Those that say that the patch was none, or none that holds."""
        return self.done - self.solved - self.infrastructure - self.unsupported


def tokens_of(result: Result) -> int:
    usage = result.usage
    return int(usage.get("input_tokens", 0)) + int(usage.get("output_tokens", 0))
