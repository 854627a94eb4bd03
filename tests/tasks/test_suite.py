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


def test_a_long_list_of_tasks_is_cut() -> None:
    names = [f"t{number:03}" for number in range(500)]
    with pytest.raises(UsageError) as caught:
        suite.check_name("zzz", names, "task")
    assert caught.value.hint.endswith("t029 and 470 more.")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("starter/line-wrap", "Write: starter --filter line-wrap"),
        ("/nowhere/suite", "There is no file /nowhere/suite. Write quixbugs:"),
        ("own.toml", "There is no file own.toml."),
        (__file__, "Write quixbugs:, exercism:"),
    ],
)
def test_another_form_of_a_suite_is_told_what_to_write(reference: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        suite.find(reference)
    assert said in caught.value.hint


def test_a_folder_in_the_place_of_a_file_of_tasks_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory") as caught:
        suite.find(f"tasks:{tmp_path}")
    assert f"tasks:{tmp_path}/suite.toml" in caught.value.hint
