from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.trees import TreeStore
from tasks.suites import starter, suite


@pytest.fixture
def store(tmp_path: Path) -> TreeStore:
    return TreeStore.create(tmp_path / "store")


def test_a_task_is_loaded_by_suite_and_name(store: TreeStore) -> None:
    task = suite.load("starter/line-wrap", store)
    assert task.id == "starter/line-wrap"
    assert store.blob(task.base.tree, "wrap.py") is not None


def test_gold_is_found_by_suite_and_name() -> None:
    assert suite.gold("starter/line-wrap") == starter.gold("line-wrap")


def test_a_suite_gives_all_its_tasks(store: TreeStore) -> None:
    found = [task.id for task in suite.tasks(suite.find("starter"), store)]
    assert found == [f"starter/{name}" for name in starter.names()]


@pytest.mark.parametrize("reference", ["", "starter", "starter/", "/line-wrap"])
def test_a_reference_without_suite_or_name_is_refused(reference: str, store: TreeStore) -> None:
    with pytest.raises(UsageError) as caught:
        suite.load(reference, store)
    assert "SUITE/NAME" in caught.value.hint


def test_the_nearest_suite_is_named(store: TreeStore) -> None:
    with pytest.raises(UsageError) as caught:
        suite.load("stater/line-wrap", store)
    assert "'starter'" in caught.value.hint


def test_the_nearest_task_is_named(store: TreeStore) -> None:
    with pytest.raises(UsageError) as caught:
        suite.load("starter/linewrap", store)
    assert "'line-wrap'" in caught.value.hint


def test_all_tasks_are_listed_when_none_is_near(store: TreeStore) -> None:
    with pytest.raises(UsageError) as caught:
        suite.load("starter/zzz", store)
    assert "access-log" in caught.value.hint
    assert "url-routes" in caught.value.hint


@pytest.mark.parametrize("name", ["..", ".", "../starter/line-wrap", "__pycache__"])
def test_a_name_does_not_lead_out_of_the_suite(name: str, store: TreeStore) -> None:
    with pytest.raises(UsageError):
        suite.load(f"starter/{name}", store)
