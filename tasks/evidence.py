"""The grade of a patch that broke nothing: which tests show that it does what it should.

A test is proof only where the patch did not write it and a clean room on the base saw it fail.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.patch import Patch
from tasks.compare import failed_in
from tasks.rooms import Rooms
from tasks.task import Grade, TestReport

# A run of a few tests on the base, where one may well hang, need not wait as long as all tests.
SHORTEST_WAIT = 30.0
TIMES_LONGER = 10.0


@dataclass(frozen=True)
class Evidence:
    """A grade, the tests it rests on, and a sentence that says so."""

    grade: Grade
    tests: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Trial:
    """What is known when a patch has passed: `used` was tested, `whole` is what was handed in
    (protected files not restored), `baseline` and `report` are the runs without and with it.
    `is_test` tells paths that tests and their data live at."""

    rooms: Rooms
    used: Patch
    whole: Patch
    baseline: TestReport
    report: TestReport
    is_test: Callable[[str], bool]

    @property
    def hidden(self) -> Patch:
        return self.rooms.task.checks.hidden or Patch()

    def timeout(self) -> float:
        """Seconds for a run of chosen tests on the base."""
        wait = max(SHORTEST_WAIT, TIMES_LONGER * self.report.seconds)
        return min(self.rooms.task.checks.timeout, wait)


async def grade(trial: Trial) -> Evidence:
    """Grade a patch. Raises as `Rooms.run` does."""
    proving = await _proving(trial)
    if proving:
        passes = "passes" if len(proving) == 1 else "pass"
        sentence = f"{count(proving, 'failed', 'failed')} without the patch and {passes} with it"
        return Evidence("proved", proving, f"{sentence}: {listed(proving)}.")
    reproducing = await _reproducing(trial)
    if reproducing:
        sentence = count(
            reproducing,
            "that the patch adds fails on the base and passes with the patch",
            "that the patch adds fail on the base and pass with the patch",
        )
        return Evidence("reproduced", reproducing, f"{sentence}: {listed(reproducing)}.")
    return Evidence(
        "regression-only",
        (),
        "Nothing that passed before fails now; no test shows that the change does what it should.",
    )


async def _proving(trial: Trial) -> tuple[str, ...]:
    """Tests given beforehand that pass now and that a clean room on the base sees fail, alone or,
    for those that only fail among others, in a whole run."""
    candidates = [id for id in trial.report.passed if _is_given(trial, id)]
    candidates = [id for id in candidates if not _passed_before(trial, id)]
    if not candidates:
        return ()
    told = "seeing the repaired tests fail on the base"
    alone = await trial.rooms.run(told, trial.hidden, only=candidates, timeout=trial.timeout())
    proving = _failing(trial, alone.report, candidates)
    if not proving:
        whole = await trial.rooms.run(f"{told}, among all tests", trial.hidden)
        proving = _failing(trial, whole.report, candidates)
    return proving


def _is_given(trial: Trial, id: str) -> bool:
    """Whether the patch did not write the test."""
    file = trial.report.results[id].file
    if file is not None:
        return file in trial.hidden.paths or file not in trial.used.paths
    # Where a test lives is unknown: it counts when the patch writes no test at all.
    return not any(
        trial.is_test(change.path) or _holds_tests(change.content) for change in trial.used
    )


def _holds_tests(content: bytes | None) -> bool:
    """Rust's unit tests stand in the files that they test."""
    return content is not None and b"#[test]" in content


def _passed_before(trial: Trial, id: str) -> bool:
    """Whether the baseline already has the test passing; hidden tests were not in it."""
    if trial.report.results[id].file in trial.hidden.paths:
        return False
    return id in trial.baseline.passed


def _failing(trial: Trial, report: TestReport, ids: Sequence[str]) -> tuple[str, ...]:
    expected = set(trial.rooms.task.checks.expected)
    return tuple(
        id
        for id in ids
        if failed_in(report, id)
        # A test that the task names and that is not there yet does not pass either.
        or (id in expected and id not in report.results and report.complete)
    )


async def _reproducing(trial: Trial) -> tuple[str, ...]:
    """Tests that the patch adds: failing twice on base + tests, passing on base + patch."""
    tests = trial.whole.only(path for path in trial.whole.paths if trial.is_test(path))
    if not tests or tests == trial.whole:
        return ()
    report = trial.report
    if trial.used != trial.whole:
        told = "running the tests that the patch adds to existing files"
        report = (await trial.rooms.run(told, trial.whole)).report
    added = [
        id
        for id in report.passed
        if id not in trial.baseline.results
        and (report.results[id].file is None or report.results[id].file in tests.paths)
    ]
    for _ in range(2):
        if added:
            told = "seeing the added tests fail on the base"
            run = await trial.rooms.run(told, tests, only=added, timeout=trial.timeout())
            added = [id for id in added if failed_in(run.report, id)]
    return tuple(added)


def listed(ids: Sequence[str], limit: int = 5) -> str:
    """The first ids, and how many more there are."""
    more = f" and {len(ids) - limit} more" if len(ids) > limit else ""
    return ", ".join(ids[:limit]) + more


def count(ids: Sequence[str], one: str, many: str) -> str:
    """How many tests do something, as the start of a sentence."""
    return f"1 test {one}" if len(ids) == 1 else f"{len(ids)} tests {many}"
