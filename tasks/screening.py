"""What of a patch may be tested: its changes to protected files left out, or all of it refused."""

from dataclasses import dataclass, replace

from sandbox.ignore import IgnoreRules
from sandbox.patch import Patch
from sandbox.trees import Base
from tasks.protection import TESTS, forbidden_patterns, protected_patterns, violations
from tasks.task import Checks

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
_TEST_RULES = IgnoreRules((("", tuple(pattern for tests in TESTS.values() for pattern in tests)),))


@dataclass(frozen=True)
class Screened:
    """`patch` is what may be tested. `restored` are the protected paths whose changes were left
    out. `forbidden` are sentences on what no patch may add; with any, the patch is refused."""

    patch: Patch
    restored: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


def guarded(checks: Checks) -> Checks:
    """The checks with the patterns of their framework, where a task names none of its own."""
    if checks.protected or checks.forbidden_additions:
        return checks
    ecosystem = ECOSYSTEMS.get(checks.framework, "")
    return replace(
        checks,
        protected=protected_patterns(ecosystem),
        forbidden_additions=forbidden_patterns(ecosystem),
    )


def screen(base: Base, patch: Patch, checks: Checks) -> Screened:
    """Screen a patch that `check_patch` has passed by the task's patterns (see `guarded`)."""
    existing = base.store.modes(base.tree)
    found = violations(guarded(checks), base, patch)
    restored = tuple(violation.path for violation in found if violation.path in existing)
    forbidden = tuple(f"{violation}." for violation in found if violation.path not in existing)
    kept = patch.only(path for path in patch.paths if path not in restored)
    return Screened(kept, restored, forbidden)


def is_test_path(path: str) -> bool:
    """Whether a path is where tests or their data live, in any language."""
    return _TEST_RULES.ignores(path)
