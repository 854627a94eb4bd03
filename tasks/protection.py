"""Which existing files a patch may not change, and which it may not add: patterns, as data.

A test counts because someone other than the model wrote it; so tests, what configures them, what
builds them and what a forge or an editor runs by itself are put back or refused. Patterns are
gitignore's; they match folders with all that is in them.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sandbox.ignore import IgnoreRules
from sandbox.patch import Patch, printable
from sandbox.trees import Base
from tasks.task import Checks

# Whatever the language: what runs elsewhere by being in the repository.
ELSEWHERE = (
    *("/.github/", "/.gitlab-ci*", "/.gitlab/", "/.circleci/", "/.travis.yml", "/azure-pipelines*"),
    *("/.buildkite/", "/Jenkinsfile", "/.ci/", "/.drone.yml", "/.woodpecker*", "/.forgejo/"),
    *(".gitattributes", ".gitmodules", "/.husky/", "/.githooks/", "/.pre-commit-config.yaml"),
    *("/.vscode/", "/.idea/", "/.devcontainer/", "/.envrc", "/greenroom.toml"),
)
TESTS = {
    "python": ("test_*.py", "*_test.py", "tests/", "/test/", "/testing/", "/tests.py", "/test.py"),
    "node": (
        *("*.test.[cm]js", "*.test.[jt]s", "*.test.[jt]sx", "*.test.mts", "__tests__/"),
        *("*.spec.[cm]js", "*.spec.[jt]s", "*.spec.[jt]sx", "*.spec.mts", "__snapshots__/"),
        *("/test/", "/tests/", "/spec/"),
    ),
    "go": ("*_test.go", "testdata/"),
    "rust": ("tests/", "benches/"),
    "java": ("**/src/test/", "**/src/*Test/"),
    "make": ("/tests/", "/test/"),
}
# What configures, builds or installs the tests or what they run.
SETTINGS = {
    "python": (
        *("conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", "tox.ini", "noxfile.py"),
        *("setup.cfg", "/setup.py", "/pyproject.toml", ".coveragerc", "sitecustomize.py"),
        *("usercustomize.py", "*.pth", "/manage.py", "/MANIFEST.in", "/Pipfile", "/Pipfile.lock"),
        *("/poetry.lock", "/uv.lock", "/pdm.lock", "/requirements*.txt", "/requirements/"),
    ),
    "node": (
        *("jest.config.*", "vitest.config.*", "vite.config.*", ".mocharc*", "karma.conf.*"),
        *("babel.config.*", ".babelrc*", "package.json", ".npmrc", "package-lock.json"),
        *("npm-shrinkwrap.json", "yarn.lock", ".yarnrc*", "pnpm-lock.yaml", "tsconfig*.json"),
        *("playwright.config.*", "cypress.config.*"),
    ),
    "go": ("go.mod", "go.sum", "go.work", "go.work.sum"),
    "rust": ("Cargo.toml", "Cargo.lock", "build.rs", ".cargo/", "rust-toolchain*"),
    "java": (
        *("pom.xml", "*.gradle", "*.gradle.kts", "gradle.properties", "gradlew*", "/gradle/"),
        *("mvnw*", ".mvn/", "buildSrc/"),
    ),
    "make": ("Makefile", "makefile", "GNUmakefile", "*.mk"),
}
FORBIDDEN = {
    "python": (
        *("conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", "tox.ini", "setup.cfg"),
        *("/setup.py", "/pyproject.toml", ".coveragerc", "sitecustomize.py", "usercustomize.py"),
        *(
            "*.pth",
            "*.egg-link",
            "*.egg-info/",
            "*.dist-info/",
            "entry_points.txt",
            "*.pyc",
            "*.so",
        ),
    ),
    "node": (
        *("jest.config.*", "vitest.config.*", "vite.config.*", ".mocharc*", "babel.config.*"),
        *(".babelrc*", "node_modules/", ".npmrc", ".yarnrc*", ".pnpmfile.*", "*.node"),
    ),
    "go": ("go.work", "/vendor/", "go.mod"),
    "rust": (".cargo/", "build.rs", "rust-toolchain*", "Cargo.toml"),
    "java": (
        *("gradle.properties", ".mvn/", "init.gradle*", "buildSrc/", "junit-platform.properties"),
        *("META-INF/services/",),
    ),
    "make": ("GNUmakefile", "makefile"),
}
# Folders that Python puts on its path when tests run; a module there hides one that is installed.
PATH_FOLDERS = re.compile(r"((src|lib|test|testing)/|(?:[^/]+/)*tests/)?$")
PROTECTED = "is protected"
FORBIDDEN_NAME = (
    "may not be added: a file of this name or place can change how tests run, or what runs "
    "outside of them"
)
HIDING = (
    "may not be added: it would be imported in the place of a module of Python's own or of the "
    "test runner"
)
RUNNERS = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "py", "xdist", "coverage")


@dataclass(frozen=True)
class Violation:
    """A change that a patch may not make, and why: together, the start of a sentence."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{printable(self.path)} {self.reason}"


def protected_patterns(ecosystem: str, added: Iterable[str] = ()) -> tuple[str, ...]:
    """Patterns of existing files that may not change; `added` are the user's own."""
    return (*ELSEWHERE, *TESTS.get(ecosystem, ()), *SETTINGS.get(ecosystem, ()), *added)


def forbidden_patterns(ecosystem: str) -> tuple[str, ...]:
    """Patterns of files that may not be added, for their names alone would change the run."""
    return (*ELSEWHERE, *FORBIDDEN.get(ecosystem, ()))


def matches(patterns: Sequence[str], path: str) -> bool:
    """Whether patterns hold a path, the last that matches deciding. Unlike in git, one that begins
    with `!` also frees what is below a folder that another one holds."""
    return _rules(tuple(patterns)).ignores(path) and not freed(patterns, path)


def freed(patterns: Sequence[str], path: str) -> bool:
    """Whether a pattern that begins with `!` frees a path."""
    named = tuple(pattern[1:] for pattern in patterns if pattern.startswith("!"))
    return _rules(named).ignores(path)


def violations(checks: Checks, base: Base, patch: Patch) -> tuple[Violation, ...]:
    """What of a patch its task's checks do not allow: changes to protected files of the base, and
    additions by name."""
    existing = base.store.modes(base.tree)
    python = checks.framework in ("pytest", "unittest")
    found: list[Violation] = []
    for change in patch:
        path = change.path
        if path in existing:
            if matches(checks.protected, path):
                found.append(Violation(path, PROTECTED))
        elif change.deleted:
            continue
        elif matches(checks.forbidden_additions, path):
            found.append(Violation(path, FORBIDDEN_NAME))
        elif freed(checks.forbidden_additions, path):
            continue
        elif python and hides_module(path, existing):
            found.append(Violation(path, HIDING))
    return tuple(found)


def hides_module(path: str, existing: Iterable[str] = ()) -> bool:
    """Whether a new Python file would be imported in the place of a module of Python's own or of
    the test runner. A module that the repository has already (`existing`) hides nothing more."""
    found = re.match(r"(?P<folder>(?:[^/]+/)*?)(?P<name>[^/.]+)(?:\.py|(?P<inner>/.*\.py))$", path)
    while found:
        folder, name = found["folder"], found["name"]
        if PATH_FOLDERS.match(folder) and (name in sys.stdlib_module_names or name in RUNNERS):
            start = f"{folder}{name}"
            known = any(p == f"{start}.py" or p.startswith(f"{start}/") for p in existing)
            return not known
        if not found["inner"]:
            return False
        longer = re.compile(
            rf"(?P<folder>{re.escape(folder + name)}/)(?P<name>[^/.]+)(?:\.py|(?P<inner>/.*\.py))$"
        )
        found = longer.match(path)
    return False


@lru_cache(maxsize=32)
def _rules(patterns: tuple[str, ...]) -> IgnoreRules:
    return IgnoreRules((("", patterns),))
