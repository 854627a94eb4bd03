"""Which existing files a patch may not change, and which it may not add: patterns, as data.

A test counts because someone other than the model wrote it; so tests, what configures them, what
builds them and what a forge or an editor runs by itself are put back or refused. Patterns are
gitignore's; they match folders with all that is in them.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sandbox.ignore import IgnoreRules
from sandbox.patch import Patch, folded, printable
from sandbox.trees import Base
from tasks.reading import RepositoryFiles
from tasks.shadowing import Modules, module_stem
from tasks.task import Checks


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Whatever the language: what runs elsewhere by being in the repository - on a forge, in an editor,
# in a shell that enters the folder, in an agent.
ELSEWHERE = _patterns("""
    /.github/ /.gitlab/ .gitlab-ci* /.forgejo/ /.gitea/ .circleci/ .buildkite/ .travis.yml /.ci/
    azure-pipelines* bitbucket-pipelines.yml appveyor.yml .appveyor.yml .cirrus.yml .cirrus.star
    .drone.yml .woodpecker* Jenkinsfile
    .gitattributes .gitmodules .husky/ .githooks/ .pre-commit-config.yaml lefthook.y*ml
    .lefthook.y*ml
    .vscode/ .idea/ .zed/ .fleet/ .devcontainer* .exrc .nvim* .nvimrc .vimrc .dir-locals.el
    .envrc mise.toml .mise* .tool-versions
    .claude/ .mcp.json .cursor/ .codex/ .gemini/ .aider* .continue/ .windsurf/ /greenroom.toml
""")
TESTS = {
    "python": _patterns("test_*.py *_test.py tests.py tests/ /test.py /test/ /testing/"),
    "node": _patterns("""
        *.test.[cm]js *.test.[jt]s *.test.[jt]sx *.test.[cm]ts __tests__/ __snapshots__/
        *.spec.[cm]js *.spec.[jt]s *.spec.[jt]sx *.spec.[cm]ts test/ tests/ spec/
        *[-_]test.[cm]js *[-_]test.[cm]ts *[-_]test.[jt]s test-*.[cm]js test-*.[cm]ts test-*.[jt]s
        test.[cm]js test.[cm]ts test.[jt]s
    """),
    "go": _patterns("*_test.go testdata/"),
    "rust": _patterns("tests/ benches/"),
    "java": _patterns("**/src/test/ **/src/*Test/"),
}
# What configures, builds or installs the tests or what they run.
SETTINGS = {
    "python": _patterns("""
        conftest.py pytest.ini .pytest.ini pytest.toml .pytest.toml tox.ini noxfile.py .coveragerc
        setup.cfg /setup.py /pyproject.toml /MANIFEST.in /manage.py /Pipfile /Pipfile.lock
        /poetry.lock /uv.lock /pdm.lock /requirements*.txt /requirements/
        sitecustomize.py usercustomize.py *.pth
    """),
    "node": _patterns("""
        jest.config.* vitest.config.* vite.config.* .mocharc* karma.conf.* babel.config.* .babelrc*
        playwright.config.* cypress.config.* tsconfig*.json package.json package-lock.json
        npm-shrinkwrap.json yarn.lock pnpm-lock.yaml .npmrc .yarnrc*
    """),
    "go": _patterns("go.mod go.sum go.work go.work.sum"),
    "rust": _patterns("Cargo.toml Cargo.lock build.rs .cargo/ rust-toolchain*"),
    "java": _patterns("""
        pom.xml *.gradle *.gradle.kts gradle.properties gradlew* /gradle/ mvnw* .mvn/ buildSrc/
    """),
    "make": _patterns("Makefile makefile GNUmakefile *.mk"),
}
FORBIDDEN = {
    "python": _patterns("""
        conftest.py pytest.ini .pytest.ini pytest.toml .pytest.toml tox.ini .coveragerc setup.cfg
        /setup.py pyproject.toml *.pth *.egg-link *.egg-info/ *.dist-info/ entry_points.txt *.pyc
        *.so
    """),
    "node": _patterns("""
        jest.config.* vitest.config.* vite.config.* .mocharc* babel.config.* .babelrc* node_modules/
        .npmrc .yarnrc* .pnpmfile.* *.node
    """),
    "go": _patterns("go.work go.mod /vendor/"),
    "rust": _patterns("Cargo.toml build.rs .cargo/ rust-toolchain*"),
    "java": _patterns("""
        gradle.properties .mvn/ init.gradle* buildSrc/ junit-platform.properties META-INF/services/
    """),
    "make": _patterns("GNUmakefile makefile"),
}
PROTECTED = "is protected"
FORBIDDEN_NAME = (
    "may not be added: a file of this name or place can change how tests run, or what runs "
    "outside of them"
)
HIDING = "may not be added: it would be imported in the place of {}"


@dataclass(frozen=True)
class Violation:
    """A change that a patch may not make, and why: together, the start of a sentence."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{printable(self.path)} {self.reason}"


def protected_patterns(ecosystem: str, added: Iterable[str] = ()) -> tuple[str, ...]:
    """Patterns of existing files that may not change; `added` are the user's own. Where the
    ecosystem does not say what a test is, it is what any other one takes for a test."""
    tests = TESTS.get(ecosystem) or tuple(pattern for each in TESTS.values() for pattern in each)
    return (*ELSEWHERE, *tests, *SETTINGS.get(ecosystem, ()), *added)


def forbidden_patterns(ecosystem: str) -> tuple[str, ...]:
    """Patterns of files that may not be added, for their names alone would change the run."""
    return (*ELSEWHERE, *FORBIDDEN.get(ecosystem, ()), *FORBIDDEN["make"])


def matches(patterns: Sequence[str], path: str) -> bool:
    """Whether patterns hold a path, the last that matches deciding. Unlike in git, one that begins
    with `!` also frees what is below a folder that another one holds. What runs elsewhere is held
    in every spelling that some file system takes for it."""
    held = _rules(tuple(patterns)).ignores(path) or (
        tuple(patterns[: len(ELSEWHERE)]) == ELSEWHERE and _runs_elsewhere(path)
    )
    return held and not freed(patterns, path)


def _runs_elsewhere(path: str) -> bool:
    lower = tuple(pattern.lower() for pattern in ELSEWHERE)
    return _rules(lower).ignores("/".join(map(folded, path.split("/"))))


def freed(patterns: Sequence[str], path: str) -> bool:
    """Whether a pattern that begins with `!` frees a path."""
    named = tuple(pattern[1:] for pattern in patterns if pattern.startswith("!"))
    return _rules(named).ignores(path)


def exactly(path: str) -> str:
    """The pattern of one file and no other."""
    return "/" + re.sub(r"([\\*?\[\]])|( +)$", lambda found: f"\\{found[0]}", path)


def violations(
    checks: Checks, base: Base, patch: Patch, installed: Collection[str] = ()
) -> tuple[Violation, ...]:
    """What of a patch its task's checks do not allow: changes to protected files of the base, and
    additions by name. `installed` are the names of modules that the image can import."""
    existing = base.store.modes(base.tree)
    found: list[Violation] = []
    modules = added_modules(checks, base, patch)
    for change in patch:
        path = change.path
        if path in existing:
            if matches(checks.protected, path):
                found.append(Violation(path, PROTECTED))
        elif change.deleted:
            continue
        elif matches(checks.forbidden_additions, path):
            found.append(Violation(path, FORBIDDEN_NAME))
        elif modules is None or freed(checks.forbidden_additions, path):
            continue
        elif other := hidden_by(path, existing, checks):
            found.append(Violation(path, HIDING.format(printable(other))))
        elif hidden := modules.hides(path, installed):
            found.append(Violation(path, HIDING.format(hidden)))
    return tuple(found)


def hidden_by(path: str, existing: Collection[str], checks: Checks) -> str:
    """The protected or hidden file beside which an added one makes a module of the same name, which
    would be imported in its place: a package, or a compiled module. Empty for none."""
    stem = module_stem(path)
    hidden = checks.hidden.paths if checks.hidden else ()
    for other in () if stem is None else (f"{stem}.py", f"{stem}/__init__.py"):
        held = other in hidden or (other in existing and matches(checks.protected, other))
        if other != path and held:
            return other
    return ""


def added_modules(checks: Checks, base: Base, patch: Patch) -> Modules | None:
    """The modules of a base and a patch; None where nothing could be imported."""
    if checks.framework not in ("pytest", "unittest"):
        return None
    written = [change.path for change in patch if not change.deleted]
    return Modules(RepositoryFiles(base), written)


@lru_cache(maxsize=32)
def _rules(patterns: tuple[str, ...]) -> IgnoreRules:
    return IgnoreRules((("", patterns),))
