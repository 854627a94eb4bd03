"""A run in numbers: what was solved, how sure that is, and what it took."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import get_args

from agent.bench.record import Status
from agent.bench.report.attempts import Attempt, RunFolder
from agent.bench.report.bootstrap import Row, bootstrap
from agent.bench.report.intervals import Interval, wilson
from agent.bench.report.passes import pass_all, pass_at

STATUSES: tuple[Status, ...] = get_args(Status)
#: Attempts of these end in no denominator.
APART: tuple[Status, ...] = ("infrastructure failed", "unsupported")
_EVERY_K = 10


@dataclass(frozen=True, slots=True)
class Passes:
    """pass@k and pass^k over the `tasks` that have k counted attempts."""

    k: int
    tasks: int
    at_least_one: Interval
    every: Interval


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a measure of attempts is spread."""

    number: int
    total: float
    mean: float
    smallest: float
    quartile: float
    median: float
    upper_quartile: float
    p90: float
    largest: float


@dataclass(frozen=True)
class Summary:
    """`tasks` of the run; `counted` of them have an attempt that counts, which the interval is
    about. `rate` is pass@1, None where no task counts; `method` says how its interval was made.
    `statuses` counts attempts, `limits` those that a budget ended, by its name.
    `tokens_per_solved` and `cost_per_solved` are what all attempts took, divided by the number of
    tasks solved by any; None where there is none or no price.
    """

    tasks: int
    counted: int
    attempts: int
    expected: int
    planned: int
    statuses: dict[Status, int]
    limits: dict[str, int]
    tasks_solved: int
    rate: Interval | None
    method: str
    passes: tuple[Passes, ...]
    seconds: Distribution | None
    verify_seconds: Distribution | None
    turns: Distribution | None
    tokens: Distribution | None
    cost: Distribution | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated: bool
    unpriced: int
    tokens_per_solved: float | None
    cost_per_solved: float | None
    retries: int

    @property
    def apart(self) -> int:
        """Attempts that count neither for nor against who made the patches."""
        return sum(self.statuses[status] for status in APART)


def summarise(run: RunFolder) -> Summary:
    """The numbers of a run."""
    attempts = list(run.attempts)
    counted = [_counts(attempts) for attempts in run.tasks.values()]
    counted = [pair for pair in counted if pair[0]]
    rate, method, passes = _rates(counted)
    solved = sum(1 for _, solved in counted if solved)
    tally = Counter(attempt.status for attempt in attempts)
    cost = distribution(attempts, lambda attempt: attempt.cost)
    tokens = distribution(attempts, lambda attempt: attempt.tokens)
    unpriced = sum(attempt.cost is None for attempt in attempts)
    return Summary(
        tasks=len(run.tasks),
        counted=len(counted),
        attempts=len(attempts),
        expected=run.expected,
        planned=run.planned,
        statuses={status: tally[status] for status in STATUSES},
        limits=dict(Counter(attempt.limit for attempt in attempts if attempt.limit)),
        tasks_solved=solved,
        rate=rate,
        method=method,
        passes=passes,
        seconds=distribution(attempts, lambda attempt: attempt.seconds or None),
        verify_seconds=distribution(attempts, lambda attempt: attempt.verify_seconds or None),
        turns=distribution(attempts, lambda attempt: attempt.turns),
        tokens=tokens,
        cost=cost,
        input_tokens=sum(attempt.input_tokens for attempt in attempts),
        output_tokens=sum(attempt.output_tokens for attempt in attempts),
        cached_tokens=sum(attempt.cached_tokens for attempt in attempts),
        estimated=any(attempt.estimated for attempt in attempts),
        unpriced=unpriced,
        tokens_per_solved=tokens.total / solved if tokens and solved else None,
        cost_per_solved=cost.total / solved if cost and solved and not unpriced else None,
        retries=sum(attempt.retries for attempt in attempts),
    )


def _counts(attempts: Iterable[Attempt]) -> tuple[int, int]:
    """How many of a task's attempts count, and how many of these solved it."""
    counted = [attempt.solved for attempt in attempts if attempt.counts]
    return len(counted), sum(counted)


def _rates(
    counted: Sequence[tuple[int, int]],
) -> tuple[Interval | None, str, tuple[Passes, ...]]:
    """pass@1 with its interval, how that was made, and the passes for every k."""
    if not counted:
        return None, "", ()
    most = max(attempts for attempts, _ in counted)
    solved = sum(1 for _, solved in counted if solved)
    if most == 1:
        rate = wilson(solved, len(counted))
        return rate, "wilson", (Passes(1, len(counted), rate, rate),)
    ks = [k for k in range(1, most + 1) if k <= _EVERY_K or k == most or not k & (k - 1)]
    columns = bootstrap([_row(ks, *pair) for pair in counted])
    passes = []
    for place, k in enumerate(ks):
        one, every = columns[2 * place], columns[2 * place + 1]
        tasks = sum(attempts >= k for attempts, _ in counted)
        if one and every:
            passes.append(Passes(k, tasks, _seen(one, tasks), _seen(every, tasks)))
    return passes[0].at_least_one, "bootstrap", tuple(passes)


def _row(ks: Sequence[int], attempts: int, solved: int) -> Row:
    """The values of a task: pass@k and pass^k for each k that it has the attempts for."""
    values: list[float | None] = []
    for k in ks:
        if k <= attempts:
            values += [pass_at(k, attempts, solved), pass_all(k, attempts, solved)]
        else:
            values += [None, None]
    return tuple(values)


def _seen(interval: Interval, tasks: int) -> Interval:
    """The interval; Wilson's over tasks where all tasks are alike, which no bootstrap can widen."""
    if interval.value in (0.0, 1.0):
        return wilson(round(interval.value * tasks), tasks)
    return interval


def distribution(
    attempts: Iterable[Attempt], measure: Callable[[Attempt], float | None]
) -> Distribution | None:
    """How a measure is spread over the attempts that have it; those that could not be run here
    have none."""
    found = (measure(attempt) for attempt in attempts if attempt.status != "unsupported")
    values = sorted(value for value in found if value is not None)
    if not values:
        return None
    return Distribution(
        number=len(values),
        total=sum(values),
        mean=fmean(values),
        smallest=values[0],
        quartile=quantile(values, 0.25),
        median=median(values),
        upper_quartile=quantile(values, 0.75),
        p90=quantile(values, 0.9),
        largest=values[-1],
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of the sorted values lies, between two linearly."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
