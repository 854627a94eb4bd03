"""The bootstrap over tasks: how far a mean would move had other tasks of the same kind been drawn.

Tasks with the same values cannot be told apart, so a resample is drawn as how often each group of
them occurs: its cost follows the number of groups, not that of tasks.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil, floor
from random import Random

from agent.bench.report.intervals import LEVEL, Interval

RESAMPLES = 5000
SEED = 20240229
#: Below this many trials they are simply made.
_FEW = 24

#: The values of a task, one for each mean that is asked for; None: the task has no part in it.
Row = tuple[float | None, ...]


def bootstrap(rows: Sequence[Row], seed: int = SEED) -> list[Interval | None]:
    """The mean of each column over tasks, with its percentile interval (B. Efron, "Bootstrap
    methods", Annals of Statistics 7, 1979). The same seed gives the same interval, in whatever
    order the tasks come. None for a column without values.

    Where all tasks have the same value the interval is that value alone: a bootstrap cannot see
    what is in no sample.
    """
    if not rows:
        return []
    groups = sorted(
        Counter(rows).items(), key=lambda group: [(v is None, v or 0) for v in group[0]]
    )
    values = [row for row, _ in groups]
    weights = [weight for _, weight in groups]
    means: list[list[float]] = [[] for _ in rows[0]]
    for counts in _resamples(weights, Random(seed)):  # noqa: S311 - statistics, no secret
        for column, found in enumerate(means):
            mean = _mean(values, counts, column)
            if mean is not None:
                found.append(mean)
    return [_interval(_mean(values, weights, column), found) for column, found in enumerate(means)]


def _mean(values: Sequence[Row], counts: Sequence[int], column: int) -> float | None:
    total, number = 0.0, 0
    for row, count in zip(values, counts, strict=True):
        value = row[column]
        if value is not None and count:
            total += value * count
            number += count
    return total / number if number else None


def _interval(mean: float | None, resampled: list[float]) -> Interval | None:
    if mean is None or not resampled:
        return None
    resampled.sort()
    outside = (1 - LEVEL) / 2 * len(resampled)
    low, high = resampled[floor(outside)], resampled[ceil(len(resampled) - outside) - 1]
    return Interval(mean, min(low, mean), max(high, mean))


def _resamples(weights: Sequence[int], random: Random) -> Iterator[list[int]]:
    """How often each group occurs when as many tasks are drawn with replacement, many times."""
    tasks = sum(weights)
    for _ in range(RESAMPLES):
        left, rest, counts = tasks, tasks, []
        for weight in weights:
            drawn = binomial(random, left, weight / rest)
            counts.append(drawn)
            left -= drawn
            rest -= weight
        yield counts


def binomial(random: Random, trials: int, chance: float) -> int:
    """How many of the trials succeed, drawn exactly and in logarithmic time: the middle one of
    the sorted uniform numbers that decide the trials is drawn first, which leaves half of them
    (L. Devroye, "Non-Uniform Random Variate Generation", 1986, chapter X.4.3)."""
    successes = 0
    while trials > _FEW and 0 < chance < 1:
        middle = (trials + 1) // 2
        at = random.betavariate(middle, trials + 1 - middle)
        if at <= chance:
            successes += middle
            trials -= middle
            chance = min(1.0, (chance - at) / (1 - at))
        else:
            trials = middle - 1
            chance = chance / at
    if chance >= 1:
        return successes + trials
    return successes + sum(random.random() < chance for _ in range(trials))
