"""Which files of tests are protected because their tests reported."""

from pathlib import Path

import pytest

from sandbox.image import ImageSpec
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.screening import guarded
from tasks.task import Checks, Task, TestReport, TestResult


@pytest.mark.parametrize(
    ("file", "name", "protected"),
    [
        ("src/a/b.py", "a.b.f", False),
        ("src/a/b.py", "a.b", False),
        ("a.py", "a.Box.size", False),
        ("a/__init__.py", "a.f", False),
        ("a.py", "a", True),  # a function of that name may be a test
        ("checks/check_a.py", "check_a", True),
        ("checks/check_a.py", "TestA::test_it[check_a.b]", True),
        ("checks/check_a.py", "test_it[checks.check_a.b]", True),
        ("guide.rst", "guide.rst", True),
    ],
)
def test_code_is_not_protected_by_the_tests_in_its_docstrings(
    file: str, name: str, protected: bool, tmp_path: Path
) -> None:
    store = TreeStore.create(tmp_path / "store")
    base = Base(store, store.add_tree([(file, 0o100644, b"x = 1\n")]))
    result = TestResult(f"{file}::{name}", "passed", file=file)
    report = TestReport({result.id: result}, complete=True, command="pytest", framework="pytest")
    task = Task("t", "", base, ImageSpec(), Checks("pytest", "pytest"), Policy())
    assert (f"/{file}" in guarded(task, report).protected) == protected
