"""Intervals for a share of tasks: Wilson's for one attempt at each."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

LEVEL = 0.95
#: How many standard deviations a two-sided interval of that level reaches.
Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its 95% interval."""

    value: float
    low: float
    high: float


def wilson(successes: int, trials: int) -> Interval:
    """The share of successes with its score interval, which never leaves 0 to 1 and is right for
    few trials and for shares near the ends, too.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927): (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Raises ValueError for no trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials")
    share = successes / trials
    square = Z * Z / trials
    middle = (share + square / 2) / (1 + square)
    reach = Z * sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    # At the ends the formula gives exactly the share, but for rounding.
    low = 0.0 if successes == 0 else max(0.0, middle - reach)
    high = 1.0 if successes == trials else min(1.0, middle + reach)
    return Interval(share, low, high)
