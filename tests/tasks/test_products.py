"""Which files that a rebuild step makes may come into the room of the tests, by their paths."""

from pathlib import Path

import pytest

from sandbox.patch import FILE, Patch
from sandbox.trees import Base, TreeStore
from tasks.products import ProductRules
from tasks.protection import forbidden_patterns, protected_patterns
from tasks.task import Checks
from tests.tasks.judging import patch_of

BASE = (
    *("calc.py", "src/calc/__init__.py", "src/calc/checks.py", "tests/test_calc.py", "setup.py"),
    *("conftest.py", "version.py", "pkg/__init__.py"),
)
SITE = ".venv/lib/python3.11/site-packages"
# What the step makes of the base, too.
BEFORE = (
    *("made.py", "fast.so", "setup/pyvenv.cfg", ".venv/pyvenv.cfg", ".venv/bin/python"),
    *(f"{SITE}/calc/__init__.py", f"{SITE}/pytest/__init__.py", f"{SITE}/calc.pth", "gen/x.pth"),
    *("lib/sitecustomize.py", "calc.egg-info/PKG-INFO"),
)


def rules(
    tmp_path: Path,
    changes: dict[str, str | None] | None = None,
    installed: tuple[str, ...] = (),
    hidden: Patch | None = None,
    allow: tuple[str, ...] = (),
) -> ProductRules:
    store = TreeStore.create(tmp_path / "store")
    base = Base(store, store.add_tree((path, FILE, b"") for path in BASE))
    checks = Checks(
        "pytest",
        "pytest",
        hidden=hidden,
        protected=(*protected_patterns("python", ("/src/calc/checks.py",)), *allow),
        forbidden_additions=(*forbidden_patterns("python"), *allow),
    )
    patch = patch_of({"calc.py": "new", "added.py": "new"} if changes is None else changes)
    return ProductRules(checks, base, patch, BEFORE, installed)


@pytest.mark.parametrize(
    "path",
    [
        *("calc.py", "added.py", "version.py", "made.py", "new.py", "fast.so", "pkg/new.so"),
        *("build/calc.o", "src/calc/made.py", "data/table.bin", "lib/native.node"),
        *(f"{SITE}/calc/__init__.py", f"{SITE}/calc/new.so"),
    ],
)
def test_what_is_built_goes_over(path: str, tmp_path: Path) -> None:
    assert not rules(tmp_path).holds_back(path)


@pytest.mark.parametrize(
    "path",
    [
        # Protected, and what looks like it, though new.
        *("tests/test_calc.py", "tests/new.py", "test_new.py", "conftest.py", "setup.py"),
        *("src/calc/checks.py", ".github/workflows/x.yml", ".vscode/tasks.json"),
        # What may not be added, also where the base's own step makes it.
        *("pytest.ini", "pkg/conftest.py", "x.pth", "gen/x.pth", "x.dist-info/entry_points.txt"),
        # Modules that would be found before others, or run by themselves.
        *("json.py", "pytest.py", "numpy.py", "src/version.py", "sitecustomize.py"),
        *("json.so", "greenroom_pytest.py", "lib/sitecustomize.py", "src/usercustomize.so"),
        # In the place of what is there.
        *("tests", "src", "calc.py/x", "added.py/x", "src/calc"),
        # Environments, but for the project's own modules where they are.
        *(".venv/bin/python", ".venv/bin/new", ".venv/pyvenv.cfg", f"{SITE}/new.py"),
        *(f"{SITE}/pytest/__init__.py", f"{SITE}/calc.pth", f"{SITE}/version.py"),
        *(f"{SITE}/calc/checks.py", f"{SITE}/calc/tests/x.py", "other/site-packages/calc/x.py"),
    ],
)
def test_what_could_change_the_run_is_held_back(path: str, tmp_path: Path) -> None:
    assert rules(tmp_path, installed=("numpy",)).holds_back(path)


@pytest.mark.parametrize(
    "path",
    [
        *("calc.egg-info/PKG-INFO", "pkg/__pycache__/x.pyc", "node_modules/a/index.js", "a.pyc"),
        *(".pytest_cache/v/cache/lastfailed", "../x", "/etc/passwd", ".git/config", "a\nb"),
    ],
)
def test_what_is_left_to_the_room_is_not_looked_at(path: str, tmp_path: Path) -> None:
    assert list(rules(tmp_path).judged([path, "made.py"])) == ["made.py"]


@pytest.mark.parametrize(
    ("path", "belongs"),
    [
        ("lib/python3.11/site-packages/calc/__init__.py", True),
        ("lib/python3.11/site-packages/calc.cpython-311-x86_64-linux-gnu.so", True),
        ("lib/python3.11/site-packages/calc.pth", False),
        ("lib/python3.11/site-packages/calc/checks.py", False),
        ("lib/python3.11/site-packages/calc/test_x.py", False),
        ("lib/python3.11/site-packages/calc/__pycache__/x.pyc", False),
        ("lib/python3.11/site-packages/calc/../usercustomize.py", False),
        ("lib/python3.11/site-packages/usercustomize.py", False),
        ("lib/python3.11/site-packages/pytest/__init__.py", False),
        ("lib/python3.11/site-packages/json/__init__.py", False),
        ("bin/calc", False),
    ],
)
def test_only_code_of_the_project_counts_as_installed(
    path: str, belongs: bool, tmp_path: Path
) -> None:
    assert rules(tmp_path).belongs_to_the_project(path) == belongs


def test_hidden_tests_are_as_they_were_given(tmp_path: Path) -> None:
    hidden = patch_of({"spec/check.py": "given"})
    assert rules(tmp_path, {"spec/check.py": "given"}, hidden=hidden).holds_back("spec/check.py")
    assert not rules(tmp_path, {"spec/check.py": "mine"}).holds_back("spec/check.py")


def test_the_user_may_allow_a_product(tmp_path: Path) -> None:
    assert rules(tmp_path).holds_back("tests/run")
    assert not rules(tmp_path, allow=("!tests/run",)).holds_back("tests/run")
