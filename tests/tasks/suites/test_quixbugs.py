from pathlib import Path

import pytest

from benchmarks import checkouts
from sandbox.errors import UsageError
from sandbox.git import Git
from sandbox.image import Image
from sandbox.patch import FILE, Change, Patch
from sandbox.trees import TreeStore
from tasks.suites import suite
from tasks.verify import verify


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quixbugs")
    checkouts.quixbugs(folder)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TreeStore:
    return TreeStore.create(tmp_path_factory.mktemp("trees") / "store")


def test_every_program_with_tests_is_a_task(checkout: Path) -> None:
    found = suite.find(f"quixbugs:{checkout}")
    assert found.names() == (
        *("balanced", "clamp", "count_even", "digit_sum", "reaches", "run_lengths", "title"),
    )
    assert found.reference == f"quixbugs:{checkout}"


def test_a_program_whose_name_could_not_be_printed_is_none(tmp_path: Path) -> None:
    checkouts.quixbugs(tmp_path, 1)
    for place in ("python_programs/", "correct_python_programs/", "python_testcases/test_"):
        (tmp_path / f"{place}a\n\033[31m<b>.py").write_text("")
    assert suite.find(f"quixbugs:{tmp_path}").names() == ("count_even",)


def test_a_reference_may_hold_a_path(checkout: Path, store: TreeStore) -> None:
    assert suite.load(f"quixbugs:{checkout}/clamp", store).id == "quixbugs/clamp"
    assert b"min(x, high)" in (suite.gold(f"quixbugs:{checkout}/clamp") or b"")


def test_a_model_sees_one_program_with_its_tests_and_no_solution(
    checkout: Path, store: TreeStore
) -> None:
    task = suite.load(f"quixbugs:{checkout}/count_even", store)
    assert set(store.modes(task.base.tree)) == {
        "conftest.py",
        "json_testcases/count_even.json",
        "python_programs/count_even.py",
        "python_testcases/load_testdata.py",
        "python_testcases/test_count_even.py",
    }
    assert "python_programs/count_even.py" in task.instruction
    graph = suite.load(f"quixbugs:{checkout}/reaches", store)
    assert "python_testcases/node.py" in store.modes(graph.base.tree)


def test_expected_ids_are_those_that_pytest_gives(checkout: Path, store: TreeStore) -> None:
    def expected(name: str) -> tuple[str, ...]:
        return suite.load(f"quixbugs:{checkout}/{name}", store).checks.expected

    assert expected("title") == (
        "python_testcases/test_title.py::test_title[input_data0-Two Words]",
        "python_testcases/test_title.py::test_title[input_data1-]",
        "python_testcases/test_title.py::test_title[input_data2-\\xdcnder A [tree]]",
    )
    assert expected("balanced")[1].endswith("[input_data1-False]")
    # The last case is skipped as too slow.
    assert [id.rpartition("-")[2] for id in expected("clamp")] == ["5]", "0]", "9]"]
    assert expected("reaches")[0] == "python_testcases/test_reaches.py::test_neighbours"


def test_a_program_without_a_defect_is_named(tmp_path: Path, store: TreeStore) -> None:
    checkouts.quixbugs(tmp_path, 1)
    correct = (tmp_path / "correct_python_programs/count_even.py").read_text()
    (tmp_path / "python_programs/count_even.py").write_text(f'{correct}\n"""Counts."""\n')
    with pytest.raises(suite.Unsupported, match="no defect"):
        suite.load(f"quixbugs:{tmp_path}/count_even", store)


def test_tests_whose_ids_nothing_tells_are_named(tmp_path: Path, store: TreeStore) -> None:
    checkouts.quixbugs(tmp_path, 1)
    (tmp_path / "json_testcases/count_even.json").write_text("no JSON\n")
    with pytest.raises(suite.Unsupported, match="cases of test_count_even"):
        suite.load(f"quixbugs:{tmp_path}/count_even", store)


def test_a_folder_that_is_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder python_programs"):
        suite.find(f"quixbugs:{tmp_path}")
    with pytest.raises(UsageError, match="no folder"):
        suite.find(f"quixbugs:{tmp_path}/nothing")
    with pytest.raises(UsageError, match="folder on disk"):
        suite.find("quixbugs")


def test_the_version_is_the_commit_until_a_file_differs(tmp_path: Path) -> None:
    checkouts.quixbugs(tmp_path, 2)
    before = suite.find(f"quixbugs:{tmp_path}").version
    assert before.startswith("sha256:")
    Git().run("init", "--quiet", str(tmp_path))
    git = Git(tmp_path / ".git", work_tree=tmp_path, settings=("user.name=a", "user.email=a@b"))
    git.run("add", "--all")
    git.run("commit", "--quiet", "-m", "all")
    commit = git.run("rev-parse", "HEAD").stdout.decode().strip()
    assert suite.find(f"quixbugs:{tmp_path}").version == commit
    (tmp_path / "python_programs/__pycache__").mkdir()
    (tmp_path / "python_programs/__pycache__/x.pyc").write_bytes(b"0")
    assert suite.find(f"quixbugs:{tmp_path}").version == commit
    (tmp_path / "README.md").write_text("another")
    assert suite.find(f"quixbugs:{tmp_path}").version not in (commit, before)


@pytest.mark.docker
async def test_a_clean_room_proves_gold(checkout: Path, store: TreeStore, image: Image) -> None:
    found = suite.find(f"quixbugs:{checkout}")
    task = found.load("title", store)
    patch = store.from_diff(task.base.tree, found.gold("title") or b"")
    verdict = await verify(task, patch, image=image)
    assert (verdict.status, verdict.grade) == ("solved", "proved"), verdict.reasons
    assert verdict.report
    assert set(task.checks.expected) <= set(verdict.report.passed)


@pytest.mark.docker
async def test_a_defect_without_an_end_fails_its_tests_and_no_others(
    checkout: Path, store: TreeStore, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.suites.quixbugs.TEST_SECONDS", 0.5)
    task = suite.load(f"quixbugs:{checkout}/digit_sum", store)
    program = store.blob(task.base.tree, "python_programs/digit_sum.py") or b""
    patch = Patch((Change("python_programs/digit_sum.py", FILE, program + b"# nothing\n"),))
    verdict = await verify(task, patch, image=image)
    assert verdict.status == "failed"
    assert verdict.report
    assert verdict.report.complete
    assert len(verdict.report.passed) == 1
    assert "processor time" in verdict.reasons[0]
