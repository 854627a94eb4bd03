from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.patch import FILE
from sandbox.trees import Base, TreeStore
from tasks.reading import RepositoryFiles
from tasks.shadowing import Modules

Hides = Callable[..., str]

BASE = (
    *("app.py", "src/own/__init__.py", "src/own/inner.py", "src/calendar/__init__.py"),
    *("tests/test_app.py", "checks/check_it.py", "checks/test_more.py", "scripts/tool.py"),
    "pkg/tests/__init__.py",
)


@pytest.fixture
def hides(tmp_path: Path) -> Hides:
    store = TreeStore.create(tmp_path / "store")

    def ask(path: str, *more: str, installed: tuple[str, ...] = (), settings: str = "") -> str:
        files = [(name, FILE, b"") for name in BASE] + [("pyproject.toml", FILE, settings.encode())]
        base = Base(store, store.add_tree(files))
        return Modules(RepositoryFiles(base), (path, *more)).hides(path, installed)

    return ask


@pytest.mark.parametrize(
    "path",
    [
        *("random.py", "src/random.py", "tests/random.py", "lib/re.py", "tests/deep/json.py"),
        *("random/__init__.py", "random.cpython-311-x86_64-linux-gnu.so", "checks/json.py"),
    ],
)
def test_a_new_module_must_not_hide_one_of_pythons_own(hides: Hides, path: str) -> None:
    assert hides(path) == "a module of Python's own"


@pytest.mark.parametrize("folder", ["src", "tests", "checks", "extra"])
def test_a_folder_on_the_path_stays_there_when_it_is_made_a_package(
    hides: Hides, folder: str
) -> None:
    settings = '[tool.pytest.ini_options]\npythonpath = ["extra"]\n'
    found = hides(f"{folder}/json.py", f"{folder}/__init__.py", settings=settings)
    assert found == "a module of Python's own"


@pytest.mark.parametrize("path", ["pytest.py", "src/pluggy.py", "pytest_mock.py", "tests/yaml.py"])
def test_or_one_that_is_installed(hides: Hides, path: str) -> None:
    assert hides(path, installed=("pytest_mock", "yaml")) == "an installed module"


@pytest.mark.parametrize("path", ["tests/app.py", "checks/app.py", "src/app.py", "tests/own.py"])
def test_or_the_projects_own(hides: Hides, path: str) -> None:
    assert "the project's own" in hides(path)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("scripts/sitecustomize.py", ()),
        ("usercustomize/__init__.py", ()),
        ("anywhere/greenroom_pytest.py", ()),
        ("greenroom_unittest/__init__.py", ()),
    ],
)
def test_some_names_are_run_wherever_they_are(
    hides: Hides, path: str, more: tuple[str, ...]
) -> None:
    assert "runs before the tests" in hides(path, *more)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("src/own/random.py", ()),  # inside a package
        ("src/own/sub/json.py", ("src/own/sub/__init__.py",)),
        ("src/calendar/new.py", ()),  # a package that is there already
        ("pkg/tests/json.py", ()),  # of the package pkg.tests
        ("scripts/json.py", ()),  # in no folder that tests find modules in
        ("src/fresh.py", ()),
        ("tests/test_new.py", ()),
        ("tests/helpers.py", ()),
        ("random.txt", ()),
        ("json", ()),
    ],
)
def test_other_files_hide_nothing(hides: Hides, path: str, more: tuple[str, ...]) -> None:
    assert hides(path, *more) == ""


@pytest.mark.parametrize(
    "settings",
    [
        '[tool.pytest.ini_options]\npythonpath = ["scripts"]\n',
        '[tool.pytest.ini_options]\npythonpath = "./scripts other"\n',
        '[tool.pytest]\npythonpath = ["scripts"]\n',
    ],
)
def test_the_settings_of_pytest_name_further_folders(hides: Hides, settings: str) -> None:
    assert hides("scripts/json.py", settings=settings) == "a module of Python's own"


def test_what_is_new_is_known(tmp_path: Path) -> None:
    store = TreeStore.create(tmp_path / "store")
    base = Base(store, store.add_tree((name, FILE, b"") for name in BASE))
    modules = Modules(RepositoryFiles(base), ())
    assert not modules.new_names(["src/own/new.py", "docs/x.md", "src/calendar/y.py"])
    assert modules.new_names(["docs/x.md", "yaml.py"])
