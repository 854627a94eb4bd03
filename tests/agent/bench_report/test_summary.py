import pytest

from agent.bench.record import Result, Status
from agent.bench.report.attempts import open_run
from agent.bench.report.intervals import wilson
from agent.bench.report.summary import Summary, quantile, summarise
from tests.agent.bench_report.conftest import Made


def of(made: Made, *results: Result, attempts: int = 1) -> Summary:
    return summarise(open_run(made(*results, attempts=attempts)))


def test_what_says_nothing_about_the_patches_is_in_no_denominator(made: Made) -> None:
    found = of(
        made,
        Result("a", 1, "solved"),
        Result("b", 1, "failed"),
        Result("c", 1, "infrastructure failed"),
        Result("d", 1, "unsupported"),
    )
    assert found.rate == wilson(1, 2)
    assert (found.tasks, found.counted, found.apart) == (4, 2, 2)


@pytest.mark.parametrize("status", ["tampered", "suspect", "invalid patch", "no patch", "failed"])
def test_what_is_not_proved_counts_and_is_not_solved(made: Made, status: Status) -> None:
    found = of(made, Result("a", 1, "solved"), Result("b", 1, status))
    assert found.rate == wilson(1, 2)
    assert found.statuses[status] == 1


def test_several_attempts_are_averaged_within_a_task_first(made: Made) -> None:
    results = [Result("a", n, "solved") for n in (1, 2, 3)]
    results += [Result("b", n, "failed") for n in (1, 2)]
    results += [Result("b", 3, "infrastructure failed")]
    results += [Result("c", 1, "solved"), Result("c", 2, "failed"), Result("c", 3, "failed")]
    found = of(made, *results, attempts=3)
    assert found.rate is not None
    assert found.rate.value == pytest.approx((1 + 0 + 1 / 3) / 3)
    assert found.method == "bootstrap"
    three = found.passes[-1]
    assert (three.k, three.tasks) == (3, 2)
    assert (three.at_least_one.value, three.every.value) == (1.0, 0.5)


def test_tasks_that_are_all_alike_still_have_an_interval(made: Made) -> None:
    found = of(made, *(Result(name, n, "solved") for name in "abc" for n in (1, 2)), attempts=2)
    assert found.rate == wilson(3, 3)


def test_tokens_and_cost_are_those_of_all_attempts_for_each_task_solved(made: Made) -> None:
    usage = {"input_tokens": 900, "output_tokens": 100, "abandoned_tokens": 50}
    found = of(
        made,
        Result("a", 1, "solved", usage=usage, cost=0.5),
        Result("a", 2, "solved", usage=usage, cost=0.5),
        Result("b", 1, "failed", usage=usage, cost=1.0),
        attempts=2,
    )
    assert found.tokens_per_solved == 3150
    assert found.cost_per_solved == 2.0


def test_a_cost_that_is_not_known_of_all_is_not_divided(made: Made) -> None:
    found = of(made, Result("a", 1, "solved", cost=0.5), Result("b", 1, "failed"))
    assert found.cost_per_solved is None
    assert found.unpriced == 1


def test_quantiles_lie_between_the_values() -> None:
    assert [quantile([1, 2, 4], share) for share in (0, 0.25, 0.5, 1)] == [1, 1.5, 2, 4]
