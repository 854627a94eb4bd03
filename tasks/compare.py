"""What changed from one run of the tests to another."""

from collections.abc import Collection
from dataclasses import dataclass

from tasks.task import FAILING, NOT_COLLECTED, PASSING, TestReport, TestResult


@dataclass(frozen=True)
class Comparison:
    """Ids in the order of the later run; those of `missing` in that of the earlier one.

    `newly_failing` fail now and did not before, also tests that were not there. `silenced` passed
    before and are skipped or expected to fail now; `missing` passed before and did not run.
    `still_failing` fail in both runs.
    """

    newly_passing: tuple[str, ...]
    newly_failing: tuple[str, ...]
    still_failing: tuple[str, ...]
    silenced: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def lost(self) -> tuple[str, ...]:
        """Every id that is worse than before."""
        return (*self.newly_failing, *self.silenced, *self.missing)


def compare(before: TestReport, after: TestReport) -> Comparison:
    """Compare two runs of the same tests."""
    passed, failed = set(before.passed), set(before.failing)
    return Comparison(
        newly_passing=newly_passing(before, after),
        newly_failing=newly_failing(before, after),
        still_failing=tuple(id for id in after.failing if id in failed),
        silenced=tuple(
            id
            for id, result in after.results.items()
            if id in passed and result.status not in PASSING | FAILING
        ),
        missing=tuple(id for id in before.passed if id not in after.results),
    )


def newly_passing(before: TestReport, after: TestReport) -> tuple[str, ...]:
    """Ids that pass now and did not before, also those that were not there."""
    passed = set(before.passed)
    return tuple(id for id in after.passed if id not in passed)


def newly_failing(before: TestReport, after: TestReport) -> tuple[str, ...]:
    """Ids that fail now and did not before, also those that were not there."""
    failed = set(before.failing)
    return tuple(id for id in after.failing if id not in failed)


def uncollected(report: TestReport, id: str) -> bool:
    """Whether a test is absent from a run because what holds it could not be loaded or built."""
    if id in report.results:
        return False
    files = {id.partition("::")[0], *_owners(id)}
    # A run of chosen tests names the file in its errors only, since the file was not asked for.
    unloaded = {error.partition(NOT_COLLECTED)[0] for error in report.errors}
    if not files.isdisjoint([*report.failing, *unloaded]):
        return True
    return bool(report.errors) and report.framework not in ("pytest", "unittest")


def _owners(id: str) -> Collection[str]:
    """The modules that a dotted id lies in."""
    parts = id.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def failed_in(report: TestReport, id: str) -> bool:
    """Whether a run shows that a test does not pass: it failed, or could not even be loaded."""
    result = report.results.get(id)
    return uncollected(report, id) if result is None else result.status in FAILING


def described(result: TestResult | None) -> str:
    """How a test ended, as the end of a sentence."""
    if result is None:
        return "did not run"
    lines = [line for line in result.message.splitlines() if line.strip()]
    # A syntax error begins with the place and the code, indented.
    first = next(
        (line for line in lines if not line[0].isspace()), lines[0].strip() if lines else ""
    )
    words = {"failed": "fails", "error": "ends in an error", "skipped": "is skipped"}
    words |= {"xfailed": "is expected to fail", "passed": "passes", "xpassed": "passes"}
    return f"{words[result.status]}: {first}" if first else words[result.status]
