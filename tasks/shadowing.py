"""Whether a Python file that a patch adds would be imported in the place of another module.

The tests' process finds modules along a path of folders: the top of the checkout, `src`, what the
settings of pytest name, and each folder that holds tests. A new module in one of them hides any
other of its name: Python's own, an installed package's, or the project's, which would then be
tested no more.
"""

import posixpath
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

from tasks.python_project import PythonProject
from tasks.reading import RepositoryFiles, strings, table

#: Modules that run by their name alone, wherever they are found, and those of the harness.
SPECIAL = frozenset({"sitecustomize", "usercustomize"})
HARNESS = frozenset(
    {"greenroom_events", "greenroom_pytest", "greenroom_trace", "greenroom_unittest"}
)
#: What runs the tests, installed or not.
RUNNERS = frozenset(
    {"pytest", "_pytest", "pluggy", "iniconfig", "packaging", "py", "xdist", "coverage"}
)
_SOURCES = frozenset({"", "src", "lib", "python", "source"})
_MODULE = re.compile(r"(?P<name>[^/.]+)(\.[^/]*)?\.(py|pyc|so|pyd)$")
_TEST_FILE = re.compile(r"(test_[^/]*|[^/]*_test|conftest)\.py$")
_TEST_FOLDER = re.compile(r"(^|/)(tests?|testing)(/|$)")


class Modules:
    """The modules of a base, and what a patch would add to them."""

    def __init__(self, files: RepositoryFiles, added: Collection[str]) -> None:
        self._files = files
        self._added = added

    def hides(self, path: str, installed: Collection[str] = ()) -> str:
        """What the module of an added file would be imported in the place of, as the end of a
        sentence; empty when of nothing. `installed` are names that the image can import."""
        found = self._place(path)
        if found is None:
            return ""
        folder, name = found
        if self.runs_by_itself(path):
            return "a module that runs before the tests or reports on them"
        if folder in self._known.get(name, ()) or not self._searched(folder):
            return ""
        return self._hidden(path, name, installed)

    def _hidden(self, path: str, name: str, installed: Collection[str]) -> str:
        """What else has the name of a new module on the path."""
        if name in sys.stdlib_module_names:
            return "a module of Python's own"
        if name in RUNNERS or name in installed:
            return "an installed module"
        others = [other for other in self._known.get(name, ()) if self._searched(other)]
        if others and not _TEST_FILE.search(path):
            return f"the project's own {posixpath.join(others[0], name)}"
        return ""

    def runs_by_itself(self, path: str) -> bool:
        """Whether a file makes a module that runs before the tests or reports on them."""
        found = self._place(path)
        return found is not None and found[1] in SPECIAL | HARNESS

    @property
    def own_names(self) -> tuple[str, ...]:
        """The names of the base's modules, but for those that something else has, too."""
        others = SPECIAL | HARNESS | RUNNERS | sys.stdlib_module_names
        return tuple(name for name in self._known if name not in others)

    def new_names(self, paths: Iterable[str]) -> bool:
        """Whether any of these added files makes a module that the base does not have there."""
        places = filter(None, map(self._place, paths))
        return any(folder not in self._known.get(name, ()) for folder, name in places)

    def _place(self, path: str) -> tuple[str, str] | None:
        """The folder from which a file's outermost package or module is imported, and its name."""
        stem = module_stem(path)
        if stem is None:
            return None
        folder, name = posixpath.split(stem)
        while folder in self._packages:
            folder, name = posixpath.split(folder)
        return folder, name

    @cached_property
    def _packages(self) -> frozenset[str]:
        """The folders that are packages. An added `__init__.py` makes none of a folder on the path:
        what lies in that is imported from there all the same."""
        old = _package_folders(self._files.paths)
        folders = {p.rpartition("/")[0] for p in self._files.paths if _MODULE.search(p)}
        on_path = (folders - old) | _SOURCES | self._configured
        return old | (_package_folders(self._added) - on_path)

    @cached_property
    def _known(self) -> Mapping[str, set[str]]:
        """The folders from which the base's modules are imported, by name."""
        known: dict[str, set[str]] = {}
        for path in self._files.paths:
            if found := self._place(path):
                known.setdefault(found[1], set()).add(found[0])
        return known

    def _searched(self, folder: str) -> bool:
        if folder in _SOURCES or _TEST_FOLDER.search(folder) or folder in self._configured:
            return True
        return folder in self._with_tests

    @cached_property
    def _with_tests(self) -> frozenset[str]:
        paths = (*self._files.paths, *self._added)
        return frozenset(posixpath.dirname(path) for path in paths if _TEST_FILE.search(path))

    @cached_property
    def _configured(self) -> frozenset[str]:
        """What the settings of pytest put on the path."""
        project = PythonProject(self._files)
        tool = table(project.pyproject, "tool", "pytest")
        named: list[str] = []
        for place in (tool, table(tool, "ini_options")):
            value = place.get("pythonpath")
            named += value.split() if isinstance(value, str) else strings(value)
        for name, section in (("pytest.ini", "pytest"), (".pytest.ini", "pytest")):
            named += self._files.ini(name).get(section, {}).get("pythonpath", "").split()
        named += self._files.ini("tox.ini").get("pytest", {}).get("pythonpath", "").split()
        named += project.setup_cfg.get("tool:pytest", {}).get("pythonpath", "").split()
        for name in ("pytest.toml", ".pytest.toml"):
            value = table(self._files.toml(name), "pytest").get("pythonpath")
            named += value.split() if isinstance(value, str) else strings(value)
        return frozenset(posixpath.normpath(one).removeprefix("./").strip(".") for one in named)


def module_stem(path: str) -> str | None:
    """The path of a module or package without what says of which kind it is; None for no module."""
    found = _MODULE.search(path)
    if found is None:
        return None
    folder = path[: found.start()].rstrip("/")
    return folder if found["name"] == "__init__" else posixpath.join(folder, found["name"])


def _package_folders(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(posixpath.dirname(p) for p in paths if p.endswith("/__init__.py"))
