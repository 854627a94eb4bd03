"""The grade of a patch that broke nothing: which tests show that it does what it should.

A test is proof only where the patch did not write it, and where it fails each time on the base and
passes each time with the patch: one that does now this and now that proves nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.patch import Patch
from tasks.compare import failed_in
from tasks.rooms import Rooms, side_by_side
from tasks.task import Grade, TestReport

# A run of a few tests on the base, where one may well hang, need not wait as long as all tests.
SHORTEST_WAIT = 30.0
TIMES_LONGER = 10.0
# How often tests that are to prove something are seen to fail, and to pass.
REPEATS = 3


@dataclass(frozen=True)
class Evidence:
    """A grade, the tests it rests on, and a sentence that says so. `flaky` tests would have been
    proof, had they not passed on the base, or failed with the patch, now and then."""

    grade: Grade
    tests: tuple[str, ...]
    sentence: str
    flaky: tuple[str, ...] = ()


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

    @property
    def tested(self) -> Patch:
        return self.used.merge(self.hidden) if self.hidden else self.used

    def timeout(self) -> float:
        """Seconds for a run of chosen tests on the base."""
        wait = max(SHORTEST_WAIT, TIMES_LONGER * self.report.seconds)
        return min(self.rooms.task.checks.timeout, wait)


@dataclass(frozen=True)
class _Contrast:
    """Tests seen on the base and with the patch. `steady` did the same each time on either side."""

    proof: tuple[str, ...] = ()
    steady: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()


async def grade(trial: Trial) -> Evidence:
    """Grade a patch. Raises as `Rooms.run` does."""
    given = await _proving(trial)
    if given.proof:
        passes = "passes" if len(given.proof) == 1 else "pass"
        failed = count(given.proof, "failed", "failed")
        sentence = f"{failed} without the patch and {passes} with it: {listed(given.proof)}."
        return Evidence("proved", given.proof, sentence, given.flaky)
    added = await _reproducing(trial)
    flaky = (*given.flaky, *added.flaky)
    if added.proof:
        sentence = count(
            added.proof,
            "that the patch adds fails on the base and passes with the patch",
            "that the patch adds fail on the base and pass with the patch",
        )
        return Evidence("reproduced", added.proof, f"{sentence}: {listed(added.proof)}.", flaky)
    return Evidence(
        "regression-only",
        (),
        "Nothing that passed before fails now; no test shows that the change does what it should.",
        flaky,
    )


async def _proving(trial: Trial) -> _Contrast:
    """Tests given beforehand that pass now and that clean rooms on the base see fail, alone or,
    for those that come out otherwise among others, in a whole run."""
    candidates = proving(trial)
    if not candidates:
        return _Contrast()
    told = "the repaired tests"
    alone = await _contrast(trial, trial.hidden, trial.tested, candidates, told)
    if alone.proof or not alone.steady:
        return alone
    base, patched = await side_by_side(
        trial.rooms.run(f"seeing {told} fail on the base, among all tests", trial.hidden),
        trial.rooms.run(f"seeing {told} pass again, among all tests", trial.tested),
    )
    proof = [id for id in _failing(trial, base.report, alone.steady) if patched.passes(id)]
    return _Contrast(tuple(proof), flaky=alone.flaky)


async def _contrast(
    trial: Trial, base: Patch, patch: Patch, ids: Sequence[str], told: str
) -> _Contrast:
    """Run tests several times on either side, in one fresh room each."""
    seconds = trial.timeout()
    before, after = await side_by_side(
        trial.rooms.run(
            f"seeing {told} fail on the base", base, only=ids, timeout=seconds, repeat=REPEATS
        ),
        trial.rooms.run(
            f"seeing {told} pass again", patch, only=ids, timeout=seconds, repeat=REPEATS
        ),
    )
    fails = [set(_failing(trial, report, ids)) for report in before.reports]
    failing, ever_failing = set.intersection(*fails), set.union(*fails)
    passing = {id for id in ids if after.passes(id) == len(after.reports)}
    ever_passing = {id for id in ids if after.passes(id)}
    flaky = (ever_failing - failing) | (ever_passing - passing)
    return _Contrast(
        tuple(id for id in ids if id in failing & passing),
        tuple(id for id in ids if id not in flaky),
        tuple(id for id in ids if id in flaky),
    )


def proving(trial: Trial) -> list[str]:
    """Tests that the patch did not write, that pass with it and did not pass before."""
    candidates = [id for id in trial.report.passed if is_given(trial, id)]
    return [id for id in candidates if not _passed_before(trial, id)]


def is_given(trial: Trial, id: str) -> bool:
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


async def _reproducing(trial: Trial) -> _Contrast:
    """Tests that the patch adds: failing on base + tests, passing on base + patch."""
    tests = trial.whole.only(path for path in trial.whole.paths if trial.is_test(path))
    if not tests or tests == trial.whole:
        return _Contrast()
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
    if not added:
        return _Contrast()
    return await _contrast(trial, tests, trial.whole, added, "the added tests")


def listed(ids: Sequence[str], limit: int = 5) -> str:
    """The first ids, and how many more there are."""
    more = f" and {len(ids) - limit} more" if len(ids) > limit else ""
    return ", ".join(ids[:limit]) + more


def count(ids: Sequence[str], one: str, many: str) -> str:
    """How many tests do something, as the start of a sentence."""
    return f"1 test {one}" if len(ids) == 1 else f"{len(ids)} tests {many}"
