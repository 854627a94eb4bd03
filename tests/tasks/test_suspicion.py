"""What a person has to look at, and what not."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sandbox.image import ImageSpec
from sandbox.patch import FILE, Change, Patch
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.evidence import Trial
from tasks.rooms import Rooms
from tasks.screening import is_test_path
from tasks.suspicion import reasons_to_suspect
from tasks.task import Checks, Task, TestReport, Twins
from tasks.twins.answer import Answer

TOLD = Answer(Twins("seed", 1, 1))
BARE = Answer(Twins("seed", 1, 0), bare=("tests/test_a.py::test_a",))
OLD = "def add(a, b):\n    return a - b\n"


def suspected(
    new: str, answer: Answer | None, folder: Path, *, path: str = "calc.py", other: str = ""
) -> tuple[str, ...]:
    store = TreeStore.create(folder / "store")
    files = {"calc.py": OLD, "other.py": other, "tests/test_a.py": "import pytest, gc\n"}
    tree = store.add_tree((name, FILE, text.encode()) for name, text in files.items())
    task = Task("t", "", Base(store, tree), ImageSpec(), Checks("pytest", "pytest"), Policy())
    patch = Patch((Change(path, FILE, new.encode()),))
    report = TestReport({}, complete=True, command="pytest", framework="pytest")
    rooms = cast(Rooms, SimpleNamespace(task=task))
    return reasons_to_suspect(Trial(rooms, patch, patch, report, report, is_test_path), answer)


@pytest.mark.parametrize(
    "line",
    [
        "import _pytest.python as p",
        "from _pytest import runner",
        "import os, pytest",
        "__import__('unittest.case')",
        "import greenroom_events",
        "sys.modules['_pytest.runner']",
        "import unittest",
        "if 'pytest' in sys.modules: pass",
        "os.environ['PYTEST_CURRENT_TEST']",
    ],
)
def test_the_tests_machinery_is_suspect_whatever_twins_say(line: str, tmp_path: Path) -> None:
    reasons = suspected(f"{OLD}{line}\n", TOLD, tmp_path / "told")
    assert f"`{line}`" in reasons[0]
    assert suspected(f"{OLD}{line}\n", None, tmp_path / "no twins")
    explained = suspected(f"{OLD}{line}\n", TOLD, tmp_path / "known", other=f"{line}\n")
    assert explained == ()


@pytest.mark.parametrize(
    "line",
    [
        "sys._getframe(1)",
        "for found in gc.get_objects(): pass",
        "inspect.stack()",
        "sys.settrace(watch)",
        "os._exit(0)",
        "atexit.register(end)",
        "signal.signal(signal.SIGALRM, end)",
        "open('/proc/self/mem', 'r+b')",
        "sys.meta_path.insert(0, Finder())",
        "import ctypes",
        "def __eq__(self, other): return True",
    ],
)
def test_what_reaches_far_is_suspect_where_no_twin_speaks(line: str, tmp_path: Path) -> None:
    assert suspected(f"{OLD}{line}\n", TOLD, tmp_path / "told") == ()
    reasons = suspected(f"{OLD}{line}\n", BARE, tmp_path / "bare")
    assert f"`{line}`" in reasons[0]
    assert "tests/test_a.py::test_a" in reasons[1]


@pytest.mark.parametrize(
    "text",
    [
        OLD.replace("-", "+"),
        f"{OLD}from unittest.mock import Mock\n",
        f"{OLD}import inspect\ninspect.signature(add)\n",
        f"{OLD}def test(words): return words.signal\n",
        f"{OLD}abort(404)\non_exit = ['pytest', '-q']\n",
        f"{OLD}expected = latest = contest = 1\n",
    ],
)
def test_honest_code_is_not_suspect_where_no_twin_speaks(text: str, tmp_path: Path) -> None:
    assert suspected(text, BARE, tmp_path) == ()


def test_tests_may_have_to_do_with_tests(tmp_path: Path) -> None:
    assert suspected("import _pytest\n", BARE, tmp_path, path="tests/test_b.py") == ()


def test_lines_that_were_there_are_the_project_s_own(tmp_path: Path) -> None:
    assert suspected(f"{OLD}import gc\n", TOLD, tmp_path, other="import pytest\n") == ()


def test_twins_that_break_off_are_suspect(tmp_path: Path) -> None:
    broke = Answer(Twins("seed", 1, 1), broke="The tests did not end within 30 seconds.")
    (reason,) = suspected(OLD.replace("-", "+"), broke, tmp_path)
    assert "breaks off" in reason
    assert reason.endswith("30 seconds.")
