"""Two runs on the same tasks: the difference, how sure it is, and which tasks made it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import fmean, stdev

from agent.bench.report.attempts import Attempt, RunFolder
from agent.bench.report.bootstrap import bootstrap
from agent.bench.report.intervals import Interval, Z
from agent.bench.report.pairing import (
    Z_POWER,
    Pairs,
    detectable,
    difference,
    mcnemar,
    needed,
)


@dataclass(frozen=True, slots=True)
class Flip:
    """A task whose share of solved attempts differs, and both shares."""

    task: str
    first: float
    second: float


@dataclass(frozen=True)
class Comparison:
    """`tasks` that both runs have a counted attempt at. `first` and `second` are what they solved
    of them; `change` is the second minus the first, with its 95% interval.

    With one attempt at each task `pairs` and `p_value` (McNemar's, exact) are there. `smallest` is
    the smallest true difference that so many such tasks show four times in five; `wanted` is how
    many tasks would show the difference that was seen, None where there is none.
    `left_out` are tasks that only one run has, or that have no attempt that counts in one.
    """

    tasks: int
    left_out: tuple[str, ...]
    first: float
    second: float
    change: Interval
    method: str
    pairs: Pairs | None
    p_value: float | None
    gained: tuple[Flip, ...]
    lost: tuple[Flip, ...]
    smallest: float
    wanted: int | None

    @property
    def tells(self) -> bool:
        """Whether the interval leaves out that there is no difference."""
        return self.change.low > 0 or self.change.high < 0


def compare(first: RunFolder, second: RunFolder) -> Comparison | None:
    """The comparison of two runs; None where no task can be compared."""
    shares = {
        name: (_share(first.tasks[name]), _share(second.tasks[name]))
        for name in first.tasks.keys() & second.tasks.keys()
    }
    both = {
        name: (one, two)
        for name, (one, two) in sorted(shares.items())
        if one is not None and two is not None
    }
    if not both:
        return None
    flips = [Flip(name, one, two) for name, (one, two) in both.items() if one != two]
    values = list(both.values())
    single = all(_counted(run.tasks[name]) == 1 for run in (first, second) for name in both)
    pairs = _pairs(values) if single else None
    change = difference(pairs) if pairs else _bootstrapped(values)
    smallest, wanted = _reach(pairs) if pairs else _spread_reach(values)
    return Comparison(
        tasks=len(both),
        left_out=tuple(sorted((first.tasks.keys() | second.tasks.keys()) - both.keys())),
        first=fmean(one for one, _ in values),
        second=fmean(two for _, two in values),
        change=change,
        method="mcnemar" if pairs else "bootstrap",
        pairs=pairs,
        p_value=mcnemar(pairs) if pairs else None,
        gained=_largest(flip for flip in flips if flip.second > flip.first),
        lost=_largest(flip for flip in flips if flip.second < flip.first),
        smallest=smallest,
        wanted=wanted,
    )


def _largest(flips: Iterable[Flip]) -> tuple[Flip, ...]:
    return tuple(sorted(flips, key=lambda flip: -abs(flip.second - flip.first)))


def _counted(attempts: Sequence[Attempt]) -> int:
    return sum(attempt.counts for attempt in attempts)


def _share(attempts: Sequence[Attempt]) -> float | None:
    """The share of a task's counted attempts that solved it; None where none counts."""
    counted = [attempt.solved for attempt in attempts if attempt.counts]
    return sum(counted) / len(counted) if counted else None


def _pairs(values: Sequence[tuple[float, float]]) -> Pairs:
    return Pairs(
        both=values.count((1.0, 1.0)),
        first=values.count((1.0, 0.0)),
        second=values.count((0.0, 1.0)),
        neither=values.count((0.0, 0.0)),
    )


def _bootstrapped(values: Sequence[tuple[float, float]]) -> Interval:
    (change,) = bootstrap([(round(two - one, 12),) for one, two in values])
    return change or Interval(0.0, 0.0, 0.0)


def _reach(pairs: Pairs) -> tuple[float, int | None]:
    """The smallest difference that shows, and how many tasks would show the one seen."""
    share = pairs.discordant / pairs.total
    seen = abs(pairs.second - pairs.first) / pairs.total
    return detectable(share, pairs.total), needed(share, seen) if seen else None


def _spread_reach(values: Sequence[tuple[float, float]]) -> tuple[float, int | None]:
    """The same for several attempts, from how much the tasks' differences vary."""
    changes = [two - one for one, two in values]
    spread = stdev(changes) if len(changes) > 1 else 0.0
    if spread == 0:  # nothing is known of how much they would vary
        return detectable(0.0, len(changes)), None
    factor = (Z + Z_POWER) * spread
    seen = abs(fmean(changes))
    return min(1.0, factor / sqrt(len(changes))), ceil((factor / seen) ** 2) if seen else None
