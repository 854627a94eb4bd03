import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.image import Image
from sandbox.trees import TreeStore
from tasks.suites import suite
from tasks.suites.examining import examine, prove
from tasks.suites.tasks.making import Draft, draft, settle, write
from tests.tasks.judging import ADD, CALC, FIX

MESSAGE = 'Add "numbers" right\n\nThey were sub\\tracted: ünd 😀.\n'
BEFORE = {
    **CALC,
    "tests/test_calc.py": "from calc import add\ndef test_zero(): assert add(0, 0) == 0\n",
}
AFTER = {
    **FIX,
    "tests/test_calc.py": CALC["tests/test_calc.py"],
    "conftest.py": "import pytest\n",
    ".github/workflows/ci.yml": "on: push\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose last commit mends `add` and tests it."""
    folder = tmp_path / "a calendar"
    folder.mkdir()
    git(folder, "init", "-q")
    commit(folder, BEFORE, "Begin")
    commit(folder, AFTER, MESSAGE)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> TreeStore:
    return TreeStore.create(tmp_path / "store")


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, files: Mapping[str, str], message: str) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)


def made(repository: Path, store: TreeStore, name: str = "HEAD") -> Draft:
    return draft(repository, name, store)


def test_a_commit_parts_into_base_hidden_tests_and_solution(
    repository: Path, store: TreeStore
) -> None:
    found = made(repository, store)
    assert found.gold.paths == ("calc.py",)
    # What configures tests comes with them: no patch may bring it.
    assert found.hidden.paths == ("conftest.py", "tests/test_calc.py")
    assert store.blob(found.task.base.tree, "calc.py") == CALC["calc.py"].encode()
    assert found.task.instruction == MESSAGE.strip()
    assert found.task.id == f"a-calendar-{git(repository, 'rev-parse', 'HEAD')[:8]}"
    assert found.fields["commit"] == git(repository, "rev-parse", "HEAD~1")
    assert ".github/workflows/ci.yml" in found.notes[-1]


def test_a_commit_that_is_no_task_is_refused(repository: Path, store: TreeStore) -> None:
    commit(repository, {"calc.py": "x = 1\n"}, "Break all")
    commit(repository, {"tests/test_calc.py": "def test_it(): pass\n"}, "Test nothing")
    for name, told in (("HEAD", "nothing but tests"), ("HEAD~1", "no test"), ("HEAD~3", "first")):
        with pytest.raises(UsageError, match=told):
            made(repository, store, name)


@pytest.mark.parametrize("name", ["suite.toml", "suite.jsonl"])
def test_what_is_written_reads_as_the_same_task(
    name: str, repository: Path, store: TreeStore, tmp_path: Path
) -> None:
    found = made(repository, store)
    path = tmp_path / "suites" / name
    path.parent.mkdir()
    write(path, found, ["tests/test_calc.py::test_add[\x7f]"])
    other = draft(repository, "HEAD", store, id="again")
    write(path, other, [ADD])
    read = suite.find(f"tasks:{path}")
    assert read.names() == tuple(sorted((found.task.id, "again")))
    task = read.load(found.task.id, store)
    assert task.instruction == MESSAGE.strip()
    assert task.base.tree == found.task.base.tree
    assert task.checks.hidden == found.hidden
    assert not task.checks.visible
    assert task.checks.tries == 1
    assert task.checks.expected == ("tests/test_calc.py::test_add[\x7f]",)
    assert task.checks.test_command == "python3 -m pytest"
    assert store.from_diff(task.base.tree, read.gold("again") or b"") == found.gold
    with pytest.raises(UsageError, match="has a task 'again' already"):
        write(path, other, [ADD])


@pytest.mark.docker
async def test_a_task_of_a_commit_holds(
    repository: Path, store: TreeStore, tmp_path: Path, image: Image
) -> None:
    found = made(repository, store)
    settled = await settle(found, image)
    assert settled.expected == (ADD,)
    write(tmp_path / "suite.toml", found, settled.expected)
    read = suite.find(f"tasks:{tmp_path}/suite.toml")
    examined = examine(read, found.task.id, store)
    assert examined.task
    assert examined.gold
    assert examined.finding.status == "good"
    finding = await prove(found.task.id, examined.task, examined.gold, image)
    assert finding.status == "good", finding
