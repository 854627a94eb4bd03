import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import UsageError
from sandbox.trees import TreeStore
from tasks.suites import suite
from tasks.suites import tasks as own
from tasks.suites.tasks.reading import FIELDS, Given, problems
from tests.tasks.judging import ADD, CALC, FIX

GOLD = """\
--- a/calc.py
+++ b/calc.py
@@ -1,5 +1,5 @@
 def add(a, b):
-    return a - b
+    return a + b
 
 
 def twice(n):
"""
SUITE = f"""\
[defaults]
test_cmd = "python3 -m pytest -q"
base = "base"

[[task]]
id = "add"
instruction = "Mend add."
gold = "gold.patch"
expected = ["{ADD}"]

[[task]]
id = "hidden"
instruction = "Mend add; you do not see how it is tested."
gold = "gold.patch"
hidden = "hidden"
visible = false
tries = 2
per_test_timeout = 5
memory = "1G"
pids = 99
setup = ["true"]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with two tasks: one with tests to see, one with hidden ones."""
    write(tmp_path, {f"base/{path}": text for path, text in CALC.items()})
    test = CALC["tests/test_calc.py"]
    write(tmp_path, {"hidden/tests/test_more.py": test, "gold.patch": GOLD, "suite.toml": SUITE})
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> TreeStore:
    return TreeStore.create(tmp_path / "store")


def write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def test_a_file_has_several_tasks_with_shared_fields(home: Path, store: TreeStore) -> None:
    found = suite.find(f"tasks:{home}/suite.toml")
    assert found.names() == ("add", "hidden")
    add = found.load("add", store)
    assert (add.id, add.instruction) == ("suite/add", "Mend add.")
    assert sorted(store.modes(add.base.tree)) == ["calc.py", "tests/test_calc.py"]
    assert add.checks.expected == (ADD,)
    assert add.checks.visible
    assert found.gold("add") == GOLD.encode()


def test_what_is_hidden_and_how_much_it_may_use(home: Path, store: TreeStore) -> None:
    task = suite.load(f"tasks:{home}/suite.toml/hidden", store)
    checks = task.checks
    assert checks.hidden
    assert checks.hidden.paths == ("tests/test_more.py",)
    assert (checks.visible, checks.tries, checks.per_test_timeout) == (False, 2, 5)
    assert (task.policy.memory_bytes, task.policy.pids) == (1 << 30, 99)
    assert task.policy.workspace_bytes == 256 << 20
    assert task.image.setup == ("true",)


def test_hidden_tests_may_be_a_diff(home: Path, store: TreeStore) -> None:
    diff = "--- /dev/null\n+++ b/tests/test_new.py\n@@ -0,0 +1 @@\n+def test_it(): pass\n"
    write(home, {"hidden.patch": diff})
    text = SUITE.replace('hidden = "hidden"', 'hidden = "hidden.patch"')
    write(home, {"suite.toml": text})
    hidden = suite.load(f"tasks:{home}/suite.toml/hidden", store).checks.hidden
    assert hidden
    assert hidden.paths == ("tests/test_new.py",)


def test_a_task_a_line(home: Path, store: TreeStore) -> None:
    tasks = [
        {"id": f"t{number}", "instruction": "Do it.", "base": "base", "expected": [ADD]}
        for number in (1, 2)
    ]
    lines = "\n\n".join(json.dumps(task) for task in tasks)
    write(home, {"suite.jsonl": lines})
    found = suite.find(f"tasks:{home}/suite.jsonl")
    assert found.names() == ("t1", "t2")
    assert found.load("t2", store).checks.test_command == "python3 -m pytest"
    assert found.gold("t2") is None


def test_a_base_may_be_a_commit_and_has_nothing_of_later_ones(home: Path, store: TreeStore) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(home / "base"), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    for number, files in enumerate((CALC, FIX)):
        write(home / "base", files)
        git("add", "-A")
        git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", str(number))
    commit = git("rev-parse", "--short", "HEAD~1")
    text = SUITE.replace('base = "base"', f'repository = "base"\ncommit = "{commit}"')
    write(home, {"suite.toml": text})
    task = suite.load(f"tasks:{home}/suite.toml/add", store)
    assert store.blob(task.base.tree, "calc.py") == CALC["calc.py"].encode()
    assert not [path for path in store.modes(task.base.tree) if ".git" in path]


def test_the_version_follows_all_that_a_task_names(home: Path) -> None:
    def version() -> str:
        return suite.find(f"tasks:{home}/suite.toml").version

    seen = {version()}
    for path in ("suite.toml", "gold.patch", "hidden/tests/test_more.py", "base/calc.py"):
        (home / path).write_text((home / path).read_text() + "\n")
        seen.add(version())
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('id = "add"', 'id = "a/b"', "suite.toml: task 1 (a/b): id: 'a/b' is no name of a task."),
        ('id = "hidden"', 'id = "add"', "id: 'add' is taken by"),
        ('id = "add"', "", "the field 'id' is missing"),
        ("expected", "expcted", "there is no field 'expcted'; did you mean 'expected'?"),
        ('gold = "gold.patch"', 'gold = "other.patch"', "gold: there is no file"),
        ('base = "base"', 'base = ".."', "base: .. does not lie below the suite's folder"),
        ('base = "base"', "", "give either `base`, a folder, or `repository`"),
        ('base = "base"', 'repository = "."', "`repository` and `commit` need each other"),
        ('base = "base"', 'repository = "."\ncommit = "HEAD"', "'HEAD' is not a commit by its"),
        (f'expected = ["{ADD}"]', "", "neither `expected` nor `hidden` says"),
        ("tries = 2", "tries = true", "tries: expected a whole number above zero, got True"),
        ("visible = false", 'visible = "no"', "visible: expected true or false"),
        ("pids = 99", 'network = ["example.org"]', "network: a suite may not set it"),
    ],
)
def test_what_is_wrong_is_told_with_file_task_and_field(
    home: Path, old: str, new: str, told: str
) -> None:
    write(home, {"suite.toml": SUITE.replace(old, new, 1)})
    found = [problem.message for problem in own.wrong(home / "suite.toml")]
    assert [message for message in found if told in message], found
    assert all(message.startswith(f"{home}/suite.toml: task ") for message in found)


def test_every_problem_of_every_task_is_told(home: Path) -> None:
    text = SUITE.replace("gold.patch", "none").replace("instruction", "instructions")
    write(home, {"suite.toml": text})
    told = [problem.message for problem in own.wrong(home / "suite.toml")]
    assert sum("there is no file" in message for message in told) == 2
    assert sum("'instruction' is missing" in message for message in told) == 2
    assert sum("did you mean 'instruction'?" in message for message in told) == 2


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.toml", "task = 1", "expected tables"),
        ("a.toml", "[[tasks]]\n", "there is no 'tasks' in a suite"),
        ("a.toml", "[defaults]\nid = 1\n[[task]]\n", "id is each task's own"),
        ("a.toml", "x = [", "is not valid TOML"),
        ("a.toml", "", "has no tasks"),
        ("a.jsonl", "{}\n[]\n", "line 2 is no object"),
        ("a.jsonl", "{", "line 1 is not valid JSON"),
        ("a.jsonl", "{}\n", "some tasks have no id"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(
    name: str, text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=told):
        suite.find(f"tasks:{tmp_path / name}")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = st.sampled_from([*FIELDS, "network", "other"])


@given(st.dictionaries(NAMES, VALUES | st.sampled_from([".", "..", "/", "a.toml", "0" * 40])))
def test_any_fields_are_taken_or_what_is_wrong_is_told(values: dict[str, Any]) -> None:
    task = Given("suite: task 1", values)
    for problem in problems(Path("/nowhere/suite.toml"), task, {}):
        assert problem.message.startswith("suite: task 1: ")
