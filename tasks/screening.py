"""What of a patch may be tested: its changes to protected files left out, or all of it refused."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sandbox.patch import Patch
from sandbox.trees import Base
from tasks.programs import files_run, runs_make
from tasks.protection import (
    SETTINGS,
    TESTS,
    exactly,
    forbidden_patterns,
    matches,
    protected_patterns,
    violations,
)
from tasks.task import Checks, Task, TestReport, TestResult

ECOSYSTEMS = {
    "pytest": "python",
    "unittest": "python",
    "node": "node",
    "go": "go",
    "cargo": "rust",
    "maven": "java",
    "gradle": "java",
    "make": "make",
}
_ANY_TESTS = tuple(pattern for tests in TESTS.values() for pattern in tests)


@dataclass(frozen=True)
class Screened:
    """`patch` is what may be tested. `restored` are the protected paths whose changes were left
    out. `forbidden` are sentences on what no patch may add; with any, the patch is refused."""

    patch: Patch
    restored: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


def guarded(task: Task, baseline: TestReport | None = None) -> Checks:
    """The task's checks with all that they protect: the patterns of their framework where a task
    names none of its own, the scripts that its commands run, and those whose tests reported in
    `baseline`. What the user frees stays free."""
    checks = task.checks
    if not checks.protected and not checks.forbidden_additions:
        ecosystem = ECOSYSTEMS.get(checks.framework, "")
        checks = replace(
            checks,
            protected=protected_patterns(ecosystem),
            forbidden_additions=forbidden_patterns(ecosystem),
        )
    existing = task.base.store.modes(task.base.tree)
    results = baseline.results.values() if baseline else ()
    files = {
        result.file for result in results if result.file in existing and not _is_doctest(result)
    }
    for command in _commands(task):
        files |= set(files_run(command, existing))
        if runs_make(command):
            files |= {path for path in existing if matches(SETTINGS["make"], path)}
    own = [exactly(path) for path in sorted(filter(None, files))]
    # Before the others: the last pattern that matches decides, and the user's come last.
    new = [pattern for pattern in own if pattern not in checks.protected]
    return replace(checks, protected=(*new, *checks.protected)) if new else checks


def knowing(task: Task, baseline: TestReport) -> Task:
    """The task with what the base's tests say of it: which files they protect, and, without words
    that say otherwise, that those which fail have to pass.

    A file whose tests could not be collected is no test: which ones it holds is not known yet.
    """
    checks = guarded(task, baseline)
    if not task.instruction.strip() and not checks.expected:
        failing = (id for id in baseline.failing if baseline.results[id].file != id)
        checks = replace(checks, expected=tuple(failing))
    return replace(task, checks=checks)


def _is_doctest(result: TestResult) -> bool:
    """Whether a test stands in the docstrings of the very code that it tests, which a patch has to
    be able to mend; `tasks.evidence` takes no such test of a changed file for proof. pytest names
    it by the dotted name of its object, as in `src/a/b.py::a.b.function`."""
    if result.file is None or not result.file.endswith(".py"):
        return False
    name = result.id.removeprefix(f"{result.file}::")
    module = result.file.removesuffix(".py").removesuffix("/__init__").split("/")
    homes = (".".join(module[start:]) for start in range(len(module)))
    return any(name.startswith(f"{home}.") or (name == home and "." in home) for home in homes)


def _commands(task: Task) -> Iterable[str]:
    checks, rebuild = task.checks, task.rebuild
    commands = (checks.test_command, checks.quick_test_command, checks.lint_command)
    return filter(None, (*commands, rebuild.command if rebuild else None))


def screen(base: Base, patch: Patch, checks: Checks, installed: Collection[str] = ()) -> Screened:
    """Screen a patch that `check_patch` has passed by patterns (see `guarded`). `installed` are
    the names of modules that the image can import."""
    existing = base.store.modes(base.tree)
    found = violations(checks, base, patch, installed)
    restored = tuple(violation.path for violation in found if violation.path in existing)
    forbidden = tuple(f"{violation}." for violation in found if violation.path not in existing)
    kept = patch.only(path for path in patch.paths if path not in restored)
    return Screened(kept, restored, forbidden)


def is_test_path(path: str) -> bool:
    """Whether a path is where tests or their data live, in any language."""
    return matches(_ANY_TESTS, path)
