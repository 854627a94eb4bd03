"""The only code that may call a task solved: a patch judged in clean rooms.

Code under test shares its process with the tests, so a pass is evidence and not proof. What is
caught here: runs that end early or contradict themselves, tests that vanish or are silenced,
changes to protected files, and additions that would change how tests are run.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sandbox.errors import InfrastructureError, PatchError
from sandbox.image import Image
from sandbox.patch import Patch, check_patch
from tasks.compare import Comparison, compare, described
from tasks.evidence import Trial, count, grade, listed
from tasks.rooms import RoomRun, Rooms, last_words
from tasks.screening import is_test_path, screen
from tasks.tally import TestProgress
from tasks.task import Task, TestReport, Verdict

RERUNS = 2
# More than this many tests do not fail by chance: they are not run again.
MOST_FLAKY = 40
NAMED = 10


async def verify(
    task: Task,
    patch: Patch,
    *,
    image: Image,
    baseline: TestReport | None = None,
    progress: Callable[[str], None] | None = None,
    testing: Callable[[TestProgress], None] | None = None,
) -> Verdict:
    """Judge a patch on a task.

    Every run that counts has a fresh container, on the base with the patch, its changes to
    protected files left out. It has to leave passing what passed in `baseline` (run here, on the
    base, unless given) and make every expected id pass. `progress` is told what goes on, `testing`
    each second how the tests stand that run.

    A room that dies gives the verdict "infrastructure failed". Raises SetupError or UsageError,
    both shown to the user, when the task itself cannot be run: no engine, no image, limits that
    do not fit, a rebuild step that fails on the base.
    """
    started = time.monotonic()
    try:
        rooms = Rooms(task, image, progress, testing)
        verdict = await _Verification(task, patch, rooms, baseline).decide()
    except PatchError as error:
        verdict = Verdict("invalid patch", (str(error),))
    except InfrastructureError as error:
        verdict = Verdict("infrastructure failed", (f"The clean room broke down: {error}",))
    return replace(verdict, seconds=time.monotonic() - started)


@dataclass(frozen=True)
class _Sifted:
    """Tests that are worse than before, made certain: regressions, and those that only flicker."""

    regressions: tuple[str, ...] = ()
    together: tuple[str, ...] = ()  # pass alone, fail each time when all tests run
    flaky: tuple[str, ...] = ()


class _Verification:
    """One judgement. `used` is the patch as it is tested, hidden tests included."""

    def __init__(self, task: Task, patch: Patch, rooms: Rooms, baseline: TestReport | None) -> None:
        self._task = task
        self._patch = patch
        self._rooms = rooms
        self._baseline = baseline
        self._used = patch
        self._notes: list[str] = []

    async def decide(self) -> Verdict:
        refused = self._screen()
        if refused is not None:
            return refused
        run = await self._rooms.run("running the tests on the patch", self._tested, lint=True)
        report = run.report
        broken = self._broken(report)
        if broken:
            return self._broken_verdict(broken, report)
        if self._baseline is None or _partial(self._baseline):
            self._baseline = (await self._rooms.run("running the tests on the base")).report
        comparison = self._compare(report)
        reasons = self._missing_expected(report)
        # Where the patch has failed already, what else is worse need not be certain.
        sifted = _Sifted(comparison.lost) if reasons else await self._sift(report, comparison)
        reasons += self._regressions(report, sifted)
        reasons += await self._lint(run)
        if reasons:
            verdict = self._failed(reasons, report)
        else:
            verdict = await self._solved(report, comparison)
        return replace(
            verdict,
            flaky=sifted.flaky,
            newly_passing=comparison.newly_passing,
            newly_failing=tuple(id for id in comparison.lost if id not in sifted.flaky),
            reasons=(*verdict.reasons, *_flaky_note(sifted.flaky)),
        )

    @property
    def _tested(self) -> Patch:
        hidden = self._task.checks.hidden
        return self._used.merge(hidden) if hidden else self._used

    def _screen(self) -> Verdict | None:
        """Leave out changes to protected files; a verdict for a patch that needs no run."""
        base = self._task.base
        if not self._patch:
            return Verdict("failed", ("The patch is empty: nothing was changed.",))
        try:
            check_patch(self._patch, base=base.store.modes(base.tree))
        except PatchError as error:
            return Verdict("invalid patch", (str(error),))
        screened = screen(base, self._patch, self._task.checks)
        if screened.forbidden:
            return Verdict("invalid patch", screened.forbidden)
        self._used = screened.patch
        if screened.restored:
            self._notes.append(
                "These files are protected, and the patch's changes to them were not used: "
                f"{listed(screened.restored, NAMED)}."
            )
        if not self._used:
            return self._failed(["The patch changes nothing but protected files."], None)
        return None

    def _broken(self, report: TestReport) -> list[str]:
        """Why a run on the patch cannot count at all."""
        reasons = []
        if not report.complete:
            reasons.append(report.reason)
        elif not report.passed:
            skipped = [r.id for r in report.results.values() if r.status == "skipped"]
            counts = [
                count(ids, one, many)
                for ids, one, many in (
                    (report.failing, "fails", "fail"),
                    (skipped, "is skipped", "are skipped"),
                )
                if ids
            ]
            reasons.append("; ".join(["No test passes on the patch", *counts]) + ".")
            reasons += self._sentences(report, report.failing, "{id} {how}.")
        if reasons:
            named = [error for error in report.errors if not _told(error, report)]
            reasons += [f"The test run said: {error}" for error in named[:3]]
        return reasons

    def _broken_verdict(self, reasons: Sequence[str], report: TestReport) -> Verdict:
        verdict = self._failed(reasons, report)
        if self._baseline is None:
            return verdict
        comparison = self._compare(report)
        return replace(
            verdict,
            newly_passing=comparison.newly_passing,
            newly_failing=comparison.newly_failing,
        )

    def _compare(self, report: TestReport) -> Comparison:
        """Against the baseline, without what hidden tests put in the place of older ones."""
        baseline = self._known_baseline
        hidden = set(self._task.checks.hidden.paths) if self._task.checks.hidden else set()
        kept = {id: r for id, r in baseline.results.items() if r.file not in hidden}
        return compare(replace(baseline, results=kept), report)

    @property
    def _known_baseline(self) -> TestReport:
        if self._baseline is None:
            raise AssertionError("the baseline is run before it is asked for")
        return self._baseline

    async def _sift(self, report: TestReport, comparison: Comparison) -> _Sifted:
        """Run again, in fresh rooms, what is worse than before: a flaky test does not decide."""
        targets = set(self._task.checks.expected) - set(self._known_baseline.passed)
        suspects = tuple(id for id in comparison.lost if id not in targets)
        if not suspects or len(suspects) > MOST_FLAKY:
            return _Sifted(suspects)
        passing = await self._passing_again(suspects, self._tested, "on the patch")
        certain = [id for id in suspects if id not in passing]
        # What fails on the base as well, now and then, says nothing about the patch.
        before = [id for id in certain if id in self._known_baseline.passed]
        steady = await self._always_passing(before, None)
        flaky = [id for id in before if id not in steady]
        together: list[str] = []
        if passing:
            whole = await self._rooms.run("running all tests on the patch again", self._tested)
            together = [id for id in suspects if id in passing and id not in whole.report.passed]
            if together:
                base = await self._rooms.run("running all tests on the base again")
                together = [id for id in together if id in base.report.passed]
        flaky += [id for id in passing if id not in together]
        return _Sifted(
            tuple(id for id in certain if id not in flaky),
            tuple(together),
            tuple(id for id in suspects if id in flaky),
        )

    async def _passing_again(self, ids: Sequence[str], patch: Patch | None, where: str) -> set[str]:
        """Those of `ids` that pass in at least one of the reruns."""
        passing: set[str] = set()
        for _ in range(RERUNS):
            left = [id for id in ids if id not in passing]
            if left:
                run = await self._rooms.run(f"running {len(left)} again {where}", patch, only=left)
                passing.update(run.report.passed)
        return passing

    async def _always_passing(self, ids: Sequence[str], patch: Patch | None) -> set[str]:
        """Those of `ids` that pass in every rerun on the base."""
        steady = set(ids)
        for _ in range(RERUNS):
            if steady:
                told = f"running {len(steady)} again on the base"
                run = await self._rooms.run(told, patch, only=sorted(steady))
                steady &= set(run.report.passed)
        return steady

    def _missing_expected(self, report: TestReport) -> list[str]:
        passed, before = set(report.passed), set(self._known_baseline.passed)
        wanted = [id for id in self._task.checks.expected if id not in passed and id not in before]
        return self._sentences(report, wanted, "{id} has to pass and {how}.")

    def _regressions(self, report: TestReport, sifted: _Sifted) -> list[str]:
        before = set(self._known_baseline.passed)
        broken = [id for id in sifted.regressions if id in before]
        added = [id for id in sifted.regressions if id not in before]
        return [
            *self._sentences(report, broken, "{id} passed before the patch and now {how}."),
            *self._sentences(report, added, "{id}, which did not fail before the patch, {how}."),
            *self._sentences(
                report,
                sifted.together,
                "{id} passes alone, but when all tests run it {how}; without the patch it passes.",
            ),
        ]

    def _sentences(self, report: TestReport, ids: Iterable[str], form: str) -> list[str]:
        ids = list(ids)
        sentences = [
            form.format(id=id, how=described(report.results.get(id)).removesuffix("."))
            for id in ids[:NAMED]
        ]
        if len(ids) > NAMED:
            sentences.append(f"The same holds for {len(ids) - NAMED} more tests.")
        return sentences

    async def _lint(self, run: RoomRun) -> list[str]:
        """The lint gate decides where it passed before."""
        if run.lint is None or run.lint.ok:
            return []
        command = self._task.checks.lint_command
        base = await self._rooms.lint_base()
        if base is not None and not base.ok:
            self._notes.append(f"The lint command `{command}` fails without the patch as well.")
            return []
        return [f"The lint command `{command}` fails on the patch: {last_words(run.lint)}"]

    async def _solved(self, report: TestReport, comparison: Comparison) -> Verdict:
        evidence = await grade(
            Trial(
                rooms=self._rooms,
                used=self._used,
                whole=self._patch,
                baseline=self._known_baseline,
                report=report,
                is_test=is_test_path,
            )
        )
        if comparison.still_failing:
            self._notes.append(
                f"{count(comparison.still_failing, 'fails', 'fail')} with and without the patch: "
                f"{listed(comparison.still_failing)}."
            )
        reasons = (evidence.sentence, *self._notes)
        return Verdict("solved", reasons, evidence.grade, report, self._baseline)

    def _failed(self, reasons: Sequence[str], report: TestReport | None) -> Verdict:
        notes = tuple(self._notes)
        return Verdict("failed", (*reasons, *notes), report=report, baseline=self._baseline)


def _told(error: str, report: TestReport) -> bool:
    """Whether an error is that of a file that fails as a test does."""
    return any(error.startswith(f"{id} could not be collected") for id in report.failing)


def _partial(baseline: TestReport) -> bool:
    """Whether a run on the base stopped early, so that it may lack tests that pass. One that was
    killed at its time limit would be again."""
    return bool(baseline.errors) or (not baseline.complete and baseline.exit_code is not None)


def _flaky_note(flaky: Sequence[str]) -> tuple[str, ...]:
    if not flaky:
        return ()
    return (f"Flaky, so not decisive: {listed(flaky, NAMED)}.",)
