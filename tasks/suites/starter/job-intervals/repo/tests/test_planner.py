import pytest

from scheduling import Planner

DAY = 24 * 60 * 60


@pytest.fixture
def planner():
    planner = Planner()
    planner.every("1h", "sync")
    planner.every("1d", "backup", start=2 * 3600)
    return planner


def test_jobs_run_at_their_start(planner):
    assert planner.run_due(0) == ["sync"]


def test_a_job_is_not_due_too_early(planner):
    planner.run_due(0)
    assert planner.run_due(3599) == []


def test_the_longest_overdue_job_runs_first(planner):
    assert planner.run_due(2 * 3600) == ["sync", "backup"]


def test_missed_runs_are_not_repeated(planner):
    planner.run_due(0)
    assert planner.run_due(3600 + 1800) == ["sync"]
    assert planner.next_wakeup() == 2 * 3600


def test_a_daily_job_runs_at_the_same_time_tomorrow():
    planner = Planner()
    job = planner.every("1d", "report", start=8 * 3600)
    planner.run_due(8 * 3600)
    assert job.next_run == DAY + 8 * 3600


def test_without_jobs_nothing_wakes_up():
    assert Planner().next_wakeup() is None


def test_names_are_unique(planner):
    with pytest.raises(ValueError, match="sync"):
        planner.every("5m", "sync")
