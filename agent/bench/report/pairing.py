"""Two runs on the same tasks, one attempt at each: do they differ, and could one have seen it?"""

from dataclasses import dataclass
from math import ceil, comb, sqrt
from statistics import NormalDist

from agent.bench.report.intervals import Interval, Z, wilson

POWER = 0.8
Z_POWER = NormalDist().inv_cdf(POWER)
#: With fewer tasks the exact test is never below 5%, even where all fall to one side.
_FEWEST = 6


@dataclass(frozen=True, slots=True)
class Pairs:
    """How often both runs solved a task, only the first, only the second, neither."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def total(self) -> int:
        return self.both + self.first + self.second + self.neither

    @property
    def discordant(self) -> int:
        """Tasks of which only one run solved it: they alone tell the runs apart."""
        return self.first + self.second


def mcnemar(pairs: Pairs) -> float:
    """The two-sided p-value of "both solve equally often", exact: the discordant tasks fall to
    either side like a fair coin (Q. McNemar, Psychometrika 12, 1947, with the binomial in the place
    of its chi-square)."""
    thrown, fewer = pairs.discordant, min(pairs.first, pairs.second)
    tail = sum(comb(thrown, number) for number in range(fewer + 1))
    return min(1.0, float(2 * tail / (1 << thrown)))


def difference(pairs: Pairs) -> Interval:
    """The share that the second run solved minus that of the first, with its 95% interval.

    R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions
    based on paired data", Statistics in Medicine 17 (1998), method 10: Wilson's intervals of the
    two shares, joined by their correlation. Raises ValueError for no tasks.
    """
    total = pairs.total
    one = wilson(pairs.both + pairs.first, total)
    two = wilson(pairs.both + pairs.second, total)
    correlation = _correlation(pairs)
    value = two.value - one.value

    def reach(of_two: float, of_one: float) -> float:
        return sqrt(max(0.0, of_two**2 - 2 * correlation * of_two * of_one + of_one**2))

    low = value - reach(two.value - two.low, one.high - one.value)
    high = value + reach(two.high - two.value, one.value - one.low)
    return Interval(value, max(-1.0, low), min(1.0, high))


def _correlation(pairs: Pairs) -> float:
    """Phi, with Newcombe's correction for continuity where it is positive."""
    margins = (
        (pairs.both + pairs.first)
        * (pairs.second + pairs.neither)
        * (pairs.both + pairs.second)
        * (pairs.first + pairs.neither)
    )
    if margins == 0:
        return 0.0
    product = float(pairs.both * pairs.neither - pairs.first * pairs.second)
    if product > 0:
        product = max(0.0, product - pairs.total / 2)
    return product / sqrt(margins)


def detectable(discordant_share: float, tasks: int) -> float:
    """The smallest true difference that this many tasks show (at 5%, two-sided) four times in
    five, where the runs differ on that share of the tasks, or on as many as the difference itself
    takes. 1 where not even the largest shows.

    R. J. Connor, "Sample size for testing differences in proportions for the paired-sample design",
    Biometrics 43 (1987), solved for the difference by halving.
    """
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if needed(max(discordant_share, middle), middle) <= tasks:
            high = middle
        else:
            low = middle
    return high


def needed(discordant_share: float, true_difference: float) -> int:
    """How many tasks show that difference (at 5%, two-sided) four times in five, by Connor's
    formula: (z √ψ + z' √(ψ - d²))² / d², ψ the share of tasks on which the runs differ. Raises
    ValueError for a difference of 0, or one larger than that share."""
    size = abs(true_difference)
    if not 0 < size <= discordant_share <= 1:
        raise ValueError(f"a difference of {size} where {discordant_share} differ")
    rest = sqrt(max(0.0, discordant_share - size**2))
    tasks = ceil(((Z * sqrt(discordant_share) + Z_POWER * rest) / size) ** 2)
    return max(_FEWEST, tasks)
