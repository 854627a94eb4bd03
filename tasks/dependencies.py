"""What has to be in the image for a repository's tests: Python requirements, Debian packages."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sandbox.install import Install
from tasks.detect import TestSetup
from tasks.installs.go import find_go_install
from tasks.installs.node import builds_packages, find_node_install
from tasks.installs.nodetools import package_manager
from tasks.installs.python import find_python_lock
from tasks.installs.rust import find_rust_install
from tasks.python_project import PythonProject
from tasks.reading import RepositoryFiles, Table, strings, table
from tasks.requirements import Requirements, requirement_lines

# Groups and extras for tests; those for development, which also hold linters and documentation
# tools, only where there are none for tests.
TEST_GROUPS = ("test", "tests", "testing", "unittest", "unittests", "pytest", "tests-require")
DEV_GROUPS = ("dev", "devel", "develop", "development", "ci")
TEST_REQUIREMENTS = re.compile(
    r"(?:requirements?[/_.-]tests?(?:ing)?\.(?:txt|in)|tests?[-_]requirements?\.(?:txt|in)"
    r"|(?:tests?|testing)/requirements?\.txt|requirements/tests?(?:ing)?\.(?:txt|in))"
)
DEV_REQUIREMENTS = re.compile(
    r"(?:requirements?[/_.-]dev(?:el|elop|elopment)?\.(?:txt|in)|dev[-_]requirements?\.(?:txt|in)"
    r"|requirements/dev(?:el|elop|elopment)?\.(?:txt|in))"
)
# Plugins that settings of pytest show to be in use, where nothing says that they are needed.
PYTEST_PLUGINS = (
    (r"(?<!\S)--cov\b", "pytest-cov"),
    (r"(?<!\S)(-n[ =]?(\d|auto|logical)|--dist\b|--numprocesses)", "pytest-xdist"),
    (r"(?<!\S)--timeout\b", "pytest-timeout"),
    (r"(?<!\S)--benchmark-", "pytest-benchmark"),
    (r"(?<!\S)--randomly-|-p[ =]randomly", "pytest-randomly"),
    (r"(?<!\S)--reruns\b", "pytest-rerunfailures"),
)
PYTEST_OPTIONS = {
    "asyncio_mode": "pytest-asyncio",
    "asyncio_default_fixture_loop_scope": "pytest-asyncio",
    "anyio_mode": "anyio",
    "timeout": "pytest-timeout",
    "timeout_method": "pytest-timeout",
    "django_settings_module": "pytest-django",
    "env": "pytest-env",
    "mock_use_standalone_module": "pytest-mock",
}
# Well-known test libraries, taken when tests import them and nothing names them.
TEST_LIBRARIES = ("hypothesis", "mock", "parameterized", "freezegun", "responses", "pytest_asyncio")
# What development groups hold beside test requirements, and tests do not import.
DEV_TOOLS = frozenset(
    (
        *("black", "build", "bump2version", "bumpversion", "commitizen", "flake8", "furo", "isort"),
        *("mypy", "nox", "pip-tools", "pre-commit", "prek", "pylint", "pyright", "ruff", "sphinx"),
        *("sphinx-rtd-theme", "towncrier", "tox", "tox-uv", "twine", "ty", "uv", "zizmor"),
    )
)
COMPILER = ("gcc", "g++", "make")
TOOLCHAINS: Mapping[str, tuple[str, ...]] = {
    "node": ("nodejs", "npm"),
    # Debian keeps a newer one for its browsers; its usual one reads no lock of these years.
    "cargo": ("cargo-web",),
    "go": ("golang-go",),
    "maven": ("maven", "default-jdk-headless"),
    "gradle": ("gradle", "default-jdk-headless"),
    "make": ("make", "gcc", "libc6-dev"),
}


#: What a user can do for a requirement that is a path or an address.
FOREIGN = (
    "If tests need them: name a release in `pip`, or have a command of `setup` install them, such "
    "as setup = [\"python3 -m pip install 'git+https://...'\"], in greenroom.toml; what lies in "
    "the repository is put on the path or installed by `rebuild`."
)


@dataclass(frozen=True)
class Dependencies:
    """Requirement strings for pip, names of Debian packages, installations by the repository's own
    files, and notes for the user."""

    pip: tuple[str, ...]
    apt: tuple[str, ...]
    notes: tuple[str, ...]
    installs: tuple[Install, ...] = ()


def find_dependencies(
    files: RepositoryFiles, setup: TestSetup, project: PythonProject | None = None
) -> Dependencies:
    """What the image needs so that `setup`'s tests can run; `project` says what it has."""
    own = {"node": "node", "rust": "cargo", "go": "go"}.get(setup.ecosystem, "")
    apt = [*TOOLCHAINS.get(setup.framework, ()), *TOOLCHAINS.get(own, ())]
    project = project or PythonProject(files)
    if setup.ecosystem != "python" and not (setup.ecosystem == "make" and project.backend):
        install, said = _other_install(files, setup)
        if setup.ecosystem == "node" and builds_packages(files, package_manager(files)):
            apt += COMPILER
        return Dependencies(
            (), tuple(dict.fromkeys(apt)), (*setup.notes, *said), (install,) if install else ()
        )
    requirements = Requirements(own_name=project.name)
    _runtime(project, requirements)
    _tests(project, requirements)
    declared = frozenset(requirements.found)
    _framework(project, setup, requirements)
    notes = list(setup.notes)
    installs = []
    wanted = frozenset((*TEST_GROUPS, *DEV_GROUPS))
    locked = find_python_lock(project, requirements.found, wanted, declared)
    if locked is not None:
        requirements.found = dict.fromkeys(locked.unlocked)
        notes += locked.notes
        installs += [locked.install] if locked.install else []
    elif requirements.unpinned:
        notes.append(
            f"{', '.join(requirements.unpinned)} does not name every version exactly: the image "
            f"keeps those that were the newest when it was built. Pin them (name==1.2, or a lock "
            f"file) to have the same ones everywhere."
        )
    _drop_satisfied_pytest(project, requirements)
    if requirements.dropped:
        shown = "; ".join(requirements.dropped[:5])
        more = len(requirements.dropped) - 5
        notes.append(
            f"These requirements are not plain names and versions, so they are not installed: "
            f"{shown}{f'; and {more} more' if more > 0 else ''}. {FOREIGN}"
        )
    return Dependencies(tuple(requirements.found), tuple(apt), tuple(notes), tuple(installs))


def _other_install(
    files: RepositoryFiles, setup: TestSetup
) -> tuple[Install | None, Sequence[str]]:
    if setup.ecosystem == "node":
        return find_node_install(files, package_manager(files))
    if setup.ecosystem == "rust":
        return find_rust_install(files)
    if setup.ecosystem == "go":
        return find_go_install(files)
    return None, ()


def _runtime(project: PythonProject, into: Requirements) -> None:
    """What the code itself imports."""
    files = project.files
    metadata = table(project.pyproject, "project")
    into.add_all(strings(metadata.get("dependencies")), "pyproject.toml")
    if "dependencies" in strings(metadata.get("dynamic")):
        dynamic = table(project.pyproject, "tool", "setuptools", "dynamic", "dependencies")
        named = dynamic.get("file")
        for path in [named] if isinstance(named, str) else strings(named):
            into.add_file(files, posixpath.normpath(path))
    into.add_poetry(table(project.pyproject, "tool", "poetry", "dependencies"), "pyproject.toml")
    listed = project.setup_cfg.get("options", {}).get("install_requires", "")
    into.add_all(requirement_lines(listed), "setup.cfg")
    into.add_all(_texts(project.setup_py.get("install_requires")), "setup.py")
    into.add_poetry(table(files.toml("Pipfile"), "packages"), "Pipfile")
    if not into.found:
        into.add_file(files, "requirements.txt")
        into.add_file(files, "requirements.in")


def _tests(project: PythonProject, into: Requirements) -> None:
    """What the tests import beside that: the places for tests, else those for development."""
    extras = _extras(project)
    groups = _groups(project)
    _own_extras(extras, into)
    for names, pattern in ((TEST_GROUPS, TEST_REQUIREMENTS), (DEV_GROUPS, DEV_REQUIREMENTS)):
        place = Requirements(into.own_name, dropped=into.dropped, unpinned=into.unpinned)
        for name in names:
            place.add_all(groups.get(name, ()), f"the group {name}")
            place.add_all(extras.get(name, ()), f"the extra {name}")
        _poetry_groups(project, names, place)
        for path in _requirement_files(project.files, pattern):
            place.add_file(project.files, path)
        if names is TEST_GROUPS:
            listed = project.setup_cfg.get("options", {}).get("tests_require", "")
            place.add_all(requirement_lines(listed), "setup.cfg")
            place.add_all(_texts(project.setup_py.get("tests_require")), "setup.py")
        _own_extras(extras, place)
        if names is DEV_GROUPS:
            place.drop(DEV_TOOLS)
        into.found |= place.found
        if place.found:
            return
    _tox(project, into)


def _requirement_files(files: RepositoryFiles, pattern: re.Pattern[str]) -> list[str]:
    """The requirements files that match; of a pair, the locked one and not what it was made of."""
    found = [path for path in files.paths if pattern.fullmatch(path)]
    return [p for p in found if not (p.endswith(".in") and p[:-3] + ".txt" in found)]


def _own_extras(extras: Mapping[str, list[str]], into: Requirements) -> None:
    """What the project's own extras bring, where a requirement asks for them by its name."""
    seen: set[str] = set()
    while into.own_extras:
        name = into.own_extras.pop(0)
        if name not in seen:
            seen.add(name)
            into.add_all(extras.get(canonicalize_name(name), ()), f"the extra {name}")


def _extras(project: PythonProject) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    optional = table(project.pyproject, "project", "optional-dependencies")
    for name, listed in optional.items():
        found.setdefault(canonicalize_name(name), []).extend(strings(listed))
    for name, text in project.setup_cfg.get("options.extras_require", {}).items():
        found.setdefault(canonicalize_name(name), []).extend(requirement_lines(text))
    in_setup_py = project.setup_py.get("extras_require")
    if isinstance(in_setup_py, dict):
        for name, listed in in_setup_py.items():
            # `name:marker` is setuptools' old way to bind an extra to a marker.
            found.setdefault(canonicalize_name(name.partition(":")[0]), []).extend(_texts(listed))
    return found


def _groups(project: PythonProject) -> dict[str, list[str]]:
    """Dependency groups by canonical name, their includes resolved, and what tools had before."""
    listed_groups = table(project.pyproject, "dependency-groups").items()
    raw: dict[str, Any] = {canonicalize_name(name): group for name, group in listed_groups}

    def resolved(name: str, above: tuple[str, ...]) -> list[str]:
        listed = raw.get(name)
        found: list[str] = []
        for item in listed if isinstance(listed, list) and name not in above else ():
            if isinstance(item, str):
                found.append(item)
            elif isinstance(item, dict) and isinstance(item.get("include-group"), str):
                found += resolved(canonicalize_name(item["include-group"]), (*above, name))
        return found

    groups: dict[str, list[str]] = {name: resolved(name, ()) for name in raw}
    tool = table(project.pyproject, "tool")
    groups.setdefault("dev", []).extend(strings(table(tool, "uv").get("dev-dependencies")))
    for name, listed in table(tool, "pdm", "dev-dependencies").items():
        groups.setdefault(canonicalize_name(name), []).extend(strings(listed))
    for environment, into in (("hatch-test", "test"), ("test", "test"), ("default", "dev")):
        settings = table(tool, "hatch", "envs", environment)
        for key in ("dependencies", "extra-dependencies"):
            groups.setdefault(into, []).extend(strings(settings.get(key)))
    return groups


def _poetry_groups(project: PythonProject, names: Iterable[str], into: Requirements) -> None:
    poetry = table(project.pyproject, "tool", "poetry")
    for name in names:
        entries = table(poetry, "group", name, "dependencies")
        into.add_poetry(entries, f"the group {name}")
    if "dev" in names:
        into.add_poetry(table(poetry, "dev-dependencies"), "pyproject.toml")
        into.add_poetry(table(project.files.toml("Pipfile"), "dev-packages"), "Pipfile")


def _tox(project: PythonProject, into: Requirements) -> None:
    """The plain dependencies of tox's default environment, where nothing else names any."""
    deps = project.files.ini("tox.ini").get("testenv", {}).get("deps", "")
    for line in requirement_lines(deps):
        included = re.match(r"-r\s*(?:\{toxinidir\}/)?(\S+)", line)
        if included:
            into.add_file(project.files, posixpath.normpath(included[1]))
        elif not re.match(r"[\w,!{}-]+\s*:|.*[{}]", line):
            into.add(line, "tox.ini")


def _framework(project: PythonProject, setup: TestSetup, into: Requirements) -> None:
    """What the test framework needs beyond the image's own, where the repository's settings or
    imports show it."""
    named = {canonicalize_name(Requirement(text).name) for text in into.found}
    if setup.framework == "pytest":
        options = _pytest_options(project)
        wanted = options.get("minversion", "").strip()
        if _needs_newer_pytest(project, wanted) and "pytest" not in named:
            into.add(f"pytest>={wanted}", "pytest's minversion")
        elif "pytest" not in named and _native_table(project):
            into.add("pytest>=9", "[tool.pytest]")
        plugins = {p for o, p in PYTEST_OPTIONS.items() if o in options}
        addopts = options.get("addopts", "")
        plugins |= {plugin for pattern, plugin in PYTEST_PLUGINS if re.search(pattern, addopts)}
        into.add_all(sorted(plugins - named), "pytest's settings")
    texts = project.files.texts(project.test_files)
    for library in TEST_LIBRARIES:
        used = rf"^\s*(import|from) {library}\b"
        if canonicalize_name(library) not in named and any(
            re.search(used, text, re.MULTILINE) for text in texts.values()
        ):
            into.add(canonicalize_name(library), "the tests' imports")


def _needs_newer_pytest(project: PythonProject, wanted: str) -> bool:
    try:
        return bool(wanted) and not project.provides(Requirement(f"pytest>={wanted}"))
    except InvalidRequirement:
        return False


def _drop_satisfied_pytest(project: PythonProject, into: Requirements) -> None:
    """pytest is in the image: it is only installed again where another version is asked for."""
    for text in list(into.found):
        requirement = Requirement(text)
        if (
            canonicalize_name(requirement.name) == "pytest"
            and not requirement.extras
            and project.provides(requirement)
        ):
            del into.found[text]


def _pytest_options(project: PythonProject) -> dict[str, str]:
    """pytest's settings by lower-case name, lists joined."""
    files = project.files
    tool = table(project.pyproject, "tool", "pytest")
    tables: list[Table] = [
        files.ini("pytest.ini").get("pytest", {}),
        files.ini(".pytest.ini").get("pytest", {}),
        table(tool, "ini_options") or tool,
        files.ini("tox.ini").get("pytest", {}),
        project.setup_cfg.get("tool:pytest", {}),
    ]
    chosen = next((found for found in tables if found), {})
    return {name.lower(): _joined(value) for name, value in chosen.items()}


def _native_table(project: PythonProject) -> bool:
    """Whether pytest's settings are in the table that only pytest 9 reads."""
    tool = table(project.pyproject, "tool", "pytest")
    return bool(tool) and "ini_options" not in tool


def _joined(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _texts(value: object) -> list[str]:
    """The requirement strings in a literal of setup.py: a list, or lines in one string."""
    if isinstance(value, str):
        return list(requirement_lines(value))
    return strings(value)
