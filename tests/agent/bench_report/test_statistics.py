from itertools import combinations
from math import comb
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agent.bench.report.bootstrap import binomial, bootstrap
from agent.bench.report.intervals import wilson
from agent.bench.report.pairing import Pairs, detectable, difference, mcnemar, needed
from agent.bench.report.passes import pass_all, pass_at

counts = some.integers(0, 60)
pairs = some.builds(Pairs, counts, counts, counts, counts).filter(lambda found: found.total > 0)


@some.composite
def trials(draw: some.DrawFn) -> tuple[int, int]:
    number = draw(some.integers(1, 400))
    return draw(some.integers(0, number)), number


# Values of statsmodels 0.14, proportion_confint(method="wilson").
@pytest.mark.parametrize(
    ("solved", "tasks", "low", "high"),
    [
        (0, 10, 0.0, 0.2775327998628899),
        (10, 10, 0.7224672001371101, 1.0),
        (7, 20, 0.18119182410108203, 0.5671457233147638),
        (312, 500, 0.5807491793847674, 0.6653599841807676),
    ],
)
def test_wilson_gives_the_values_of_statsmodels(
    solved: int, tasks: int, low: float, high: float
) -> None:
    found = wilson(solved, tasks)
    assert found.low == pytest.approx(low, abs=1e-12)
    assert found.high == pytest.approx(high, abs=1e-12)


@given(trials())
def test_wilson_holds_the_share_and_mirrors(given: tuple[int, int]) -> None:
    solved, tasks = given
    found, mirrored = wilson(solved, tasks), wilson(tasks - solved, tasks)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high)
    assert wilson(solved * 4, tasks * 4).high <= found.high


@pytest.mark.parametrize(("solved", "tasks"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_what_is_no_share(solved: int, tasks: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        wilson(solved, tasks)


@given(some.lists(some.booleans(), min_size=1, max_size=8), some.data())
def test_passes_are_what_counting_all_choices_gives(
    attempts: list[bool], data: some.DataObject
) -> None:
    k = data.draw(some.integers(1, len(attempts)))
    chosen = list(combinations(attempts, k))
    assert pass_at(k, len(attempts), sum(attempts)) == pytest.approx(fmean(map(any, chosen)))
    assert pass_all(k, len(attempts), sum(attempts)) == pytest.approx(fmean(map(all, chosen)))


def test_passes_need_as_many_attempts() -> None:
    with pytest.raises(ValueError, match="3 of 2 attempts"):
        pass_at(3, 2, 1)
    with pytest.raises(ValueError, match="3 of 2 attempts"):
        pass_all(3, 2, 1)


@settings(max_examples=12, deadline=None)
@given(
    some.lists(some.sampled_from([0.0, 1 / 3, 2 / 3, 1.0]), min_size=1, max_size=40),
    some.randoms(use_true_random=False),
)
def test_a_bootstrap_does_not_depend_on_the_order_of_tasks(
    values: list[float], random: Random
) -> None:
    rows = [(value, None) for value in values]
    found, nothing = bootstrap(rows)
    random.shuffle(rows)
    assert nothing is None
    assert found is not None
    assert bootstrap(rows)[0] == found
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(fmean(values))


def test_a_bootstrap_is_as_wide_as_that_of_scipy() -> None:
    values = [0.0] * 30 + [1 / 3] * 10 + [2 / 3] * 10 + [1.0] * 30
    (found,) = bootstrap([(value,) for value in values])
    assert found is not None
    # scipy.stats.bootstrap, percentile, 100,000 resamples
    assert found.low == pytest.approx(0.4042, abs=0.012)
    assert found.high == pytest.approx(0.5958, abs=0.012)


@pytest.mark.parametrize(("trials", "chance"), [(5, 0.3), (200, 0.02), (1000, 0.7)])
def test_binomial_numbers_have_their_mean_and_variance(trials: int, chance: float) -> None:
    random = Random(5)
    drawn = [binomial(random, trials, chance) for _ in range(4000)]
    assert all(0 <= number <= trials for number in drawn)
    variance = trials * chance * (1 - chance)
    assert fmean(drawn) == pytest.approx(trials * chance, abs=5 * (variance / 4000) ** 0.5)
    assert fmean((n - trials * chance) ** 2 for n in drawn) == pytest.approx(variance, rel=0.12)


def test_binomial_numbers_of_certain_trials_are_certain() -> None:
    assert [binomial(Random(1), 100, chance) for chance in (0, 1)] == [0, 100]


@given(pairs)
def test_mcnemar_is_a_fair_coin_thrown_for_each_task_that_differs(found: Pairs) -> None:
    thrown, fewer = found.discordant, min(found.first, found.second)
    chance = sum(comb(thrown, n) for n in range(thrown + 1) if n <= fewer or n >= thrown - fewer)
    assert mcnemar(found) == pytest.approx(chance / 2**thrown)


def test_the_interval_of_a_difference_is_that_of_newcombes_table() -> None:
    found = difference(Pairs(both=36, first=2, second=12, neither=0))
    assert (round(found.low, 4), round(found.high, 4)) == (0.0569, 0.3404)


@given(pairs)
def test_the_interval_of_a_difference_turns_with_the_runs(found: Pairs) -> None:
    there = difference(found)
    back = difference(Pairs(found.both, found.second, found.first, found.neither))
    assert -1 <= there.low <= there.value <= there.high <= 1
    assert back.low == pytest.approx(-there.high)
    assert back.high == pytest.approx(-there.low)


@given(some.floats(0.01, 1), some.integers(6, 3000))
def test_what_can_be_shown_is_the_least_that_needs_no_more_tasks(share: float, tasks: int) -> None:
    least = detectable(share, tasks)
    assert needed(max(share, least), least) <= tasks
    assert least < 1e-6 or needed(max(share, 0.98 * least), 0.98 * least) >= tasks


def test_five_tasks_show_nothing() -> None:
    assert detectable(0.5, 5) == 1
    assert mcnemar(Pairs(0, 0, 5, 0)) > 0.05 > mcnemar(Pairs(0, 0, 6, 0))


def test_a_difference_cannot_be_larger_than_the_share_of_tasks_that_differ() -> None:
    with pytest.raises(ValueError, match="where"):
        needed(0.1, 0.2)
