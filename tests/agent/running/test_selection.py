import pytest

from agent.bench.selection import Selection, parse_shard
from sandbox.errors import UsageError

NAMES = tuple(f"task-{letter}" for letter in "abcdefgh")


def test_a_filter_is_a_pattern_or_a_part_of_a_name() -> None:
    assert Selection(("*-[ab]", "k-h")).choose(NAMES) == ("task-a", "task-b", "task-h")
    assert Selection(("task",)).choose(NAMES) == NAMES


def test_a_filter_that_fits_nothing_is_an_error() -> None:
    with pytest.raises(UsageError, match="'zzz' fits none of the 8 tasks"):
        Selection(("task-a", "zzz")).choose(NAMES)


def test_shards_share_the_tasks_out() -> None:
    parts = [Selection(shard=(part, 3)).choose(NAMES) for part in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == list(NAMES)
    assert [len(part) for part in parts] == [3, 3, 2]


def test_a_seed_shuffles_the_same_way_each_time_before_the_limit() -> None:
    first = Selection(limit=4, seed=1).choose(NAMES)
    assert first == Selection(limit=4, seed=1).choose(NAMES)
    assert first != Selection(limit=4, seed=2).choose(NAMES)
    assert set(Selection(seed=1).choose(NAMES)) == set(NAMES)


def test_no_task_left_is_an_error() -> None:
    with pytest.raises(UsageError, match="no task is left"):
        Selection(("task-a",), shard=(2, 2)).choose(NAMES)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", ""])
def test_a_shard_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        parse_shard(text)
