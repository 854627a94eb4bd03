"""The only code that may call a task solved: a patch judged in clean rooms.

Code under test shares its process with the tests, so a pass is evidence and not proof. What is
caught here: runs that end early or contradict themselves, tests that vanish or are silenced,
changes to protected files, additions that would change how tests are run, and tests that pass
whatever they expect.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from sandbox.errors import InfrastructureError, PatchError
from sandbox.image import Image
from sandbox.patch import Patch, check_patch
from sandbox.pool import Pool
from tasks.compare import Comparison, compare, described
from tasks.evidence import Trial, count, grade, listed
from tasks.protection import added_modules
from tasks.rooms import Rooms, last_words, side_by_side
from tasks.screening import guarded, is_test_path, screen
from tasks.sifting import Sifted, sift
from tasks.suspicion import reasons_to_suspect
from tasks.tally import TestProgress
from tasks.task import Checks, Task, TestReport, Verdict, VerdictStatus
from tasks.twins.check import ask

NAMED = 10


async def verify(
    task: Task,
    patch: Patch,
    *,
    image: Image,
    baseline: TestReport | None = None,
    as_a_whole: bool = False,
    progress: Callable[[str], None] | None = None,
    testing: Callable[[TestProgress], None] | None = None,
    pool: Pool | None = None,
    seed: str | None = None,
) -> Verdict:
    """Judge a patch on a task.

    Every run that counts has a fresh container, on the base with the patch, its changes to
    protected files left out. It has to leave passing what passed in `baseline` (run here, on the
    base, unless given) and make every expected id pass. With `as_a_whole`, a patch that is good is
    judged with its changes to tests, too, so that less of it is left out. `progress` is told what
    goes on, `testing` each second how the tests stand that run. Rooms come from `pool` where there
    is one. `seed` makes the twins of an earlier verdict again; else they are drawn.

    A room that dies gives the verdict "infrastructure failed". Raises SetupError or UsageError,
    both shown to the user, when the task itself cannot be run: no engine, no image, limits that
    do not fit, a rebuild step that fails on the base.
    """
    started = time.monotonic()
    try:
        rooms = Rooms(task, image, progress, testing, pool)
        judging = _Verification(task, patch, rooms, baseline, seed)
        verdict = await judging.decide()
        if as_a_whole and verdict.solved and verdict.left_out:
            verdict = await judging.widen(verdict)
    except PatchError as error:
        verdict = Verdict("invalid patch", (str(error),))
    except InfrastructureError as error:
        reasons = (f"The clean room broke down: {error.message}", error.hint)
        verdict = Verdict("infrastructure failed", tuple(filter(None, reasons)), cause=error.cause)
    return replace(verdict, seconds=time.monotonic() - started)


class _Verification:
    """One judgement. `used` is the patch without what is left out of it."""

    def __init__(
        self,
        task: Task,
        patch: Patch,
        rooms: Rooms,
        baseline: TestReport | None,
        seed: str | None,
    ) -> None:
        self._seed = seed
        self._task = task
        self._patch = patch
        self._rooms = rooms
        self._baseline = baseline
        self._used = patch
        self._notes: list[str] = []
        self._left_out: tuple[str, ...] = ()

    async def decide(self) -> Verdict:
        refused = self._refused_unseen() or await self._refused()
        if refused is not None:
            return refused
        run = await self._rooms.run("running the tests on the patch", self._tested)
        report = run.report
        broken = self._broken(report)
        if broken:
            return self._broken_verdict(broken, report)
        comparison = self._compare(report)
        reasons = self._missing_expected(report) + await self._not_kept(report)
        # Where the patch has failed already, what else is worse need not be certain.
        sifted = Sifted(comparison.lost) if reasons else await self._sift(comparison)
        reasons += self._regressions(report, sifted)
        reasons += await self._lint()
        if reasons:
            verdict = self._failed(reasons, report)
        else:
            verdict = await self._solved(report, comparison)
        flaky = tuple(dict.fromkeys((*sifted.flaky, *verdict.flaky)))
        return replace(
            verdict,
            flaky=flaky,
            newly_passing=tuple(id for id in comparison.newly_passing if id not in flaky),
            newly_failing=tuple(id for id in comparison.lost if id not in flaky),
            reasons=(*verdict.reasons, *_flaky_note(flaky)),
        )

    async def widen(self, verdict: Verdict) -> Verdict:
        """Judge what a good patch does to tests as well: as it changes them, all of them have to
        pass, and none may be gone."""
        baseline = self._known_baseline
        others = [path for path in verdict.left_out if not self._is_test(path)]
        if len(others) == len(verdict.left_out):
            return verdict
        whole = self._patch.only(path for path in self._patch.paths if path not in others)
        whole = whole.merge(self._hidden) if self._hidden else whole
        run = await self._rooms.run("running the tests as the patch changes them", whole)
        reasons = self._broken(run.report)
        if not reasons:
            lost = self._compare(run.report).lost
            reasons = self._regressions(run.report, await sift(self._rooms, whole, lost, baseline))
        if not reasons and verdict.report is not None:
            easier = [id for id in verdict.report.failing if id in run.report.passed]
            form = "{id} passes only because the patch changes the test; as it was, it {how}."
            reasons = self._sentences(verdict.report, easier, form)
        if reasons:
            told = "With its own changes to tests the patch does not hold:"
            return replace(verdict, reasons=(*verdict.reasons, f"{told} {reasons[0]}"))
        return replace(verdict, left_out=tuple(others))

    @property
    def _hidden(self) -> Patch | None:
        return self._task.checks.hidden

    @property
    def _tested(self) -> Patch:
        return self._used.merge(self._hidden) if self._hidden else self._used

    def _refused_unseen(self) -> Verdict | None:
        """A verdict for a patch that needs no run."""
        base = self._task.base
        if not self._patch:
            return Verdict("failed", ("The patch is empty: nothing was changed.",))
        try:
            check_patch(self._patch, base=base.store.modes(base.tree))
        except PatchError as error:
            return Verdict("invalid patch", (str(error),))
        return self._screen(guarded(self._task))

    async def _refused(self) -> Verdict | None:
        """Screen the patch by what is known of the base only once its tests have run: the files
        that tests are in, and which modules an addition could hide."""
        task = self._task
        if self._baseline is None or _partial(self._baseline):
            self._baseline = (await self._rooms.run("running the tests on the base")).report
        self._rooms.baseline = self._baseline
        checks = guarded(task, self._baseline)
        added = [c.path for c in self._patch if not c.deleted]
        new = [path for path in added if path not in task.base.store.modes(task.base.tree)]
        modules = added_modules(checks, task.base, self._patch)
        hiding = modules is not None and modules.new_names(new)
        return self._screen(checks, await self._rooms.installed() if hiding else ())

    def _screen(self, checks: Checks, installed: Collection[str] = ()) -> Verdict | None:
        """Leave out changes to protected files; a verdict where nothing is left to be tested."""
        screened = screen(self._task.base, self._patch, checks, installed)
        if screened.forbidden:
            return Verdict("invalid patch", screened.forbidden)
        self._used, self._left_out = screened.patch, screened.restored
        self._notes = []
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
        comparison = self._compare(report)
        return replace(
            self._failed(reasons, report),
            newly_passing=comparison.newly_passing,
            newly_failing=comparison.newly_failing,
        )

    def _compare(self, report: TestReport) -> Comparison:
        """Against the baseline, without what hidden tests put in the place of older ones: their
        files, and a command that found no tests to report and so counted as one itself."""
        baseline = self._known_baseline
        hidden = set(self._hidden.paths) if self._hidden else set()
        alone = {baseline.command} if hidden else set()
        kept = {
            id: r for id, r in baseline.results.items() if r.file not in hidden and id not in alone
        }
        return compare(replace(baseline, results=kept), report)

    def _is_test(self, path: str) -> bool:
        """Whether a path holds tests, by its name or because tests in it reported on the base."""
        results = self._known_baseline.results.values()
        return is_test_path(path) or any(result.file == path for result in results)

    @property
    def _known_baseline(self) -> TestReport:
        if self._baseline is None:
            raise AssertionError("the baseline is run before it is asked for")
        return self._baseline

    async def _sift(self, comparison: Comparison) -> Sifted:
        """What is worse than before, made certain; an expected test has to pass at once."""
        baseline = self._known_baseline
        targets = set(self._task.checks.expected) - set(baseline.passed)
        suspects = [id for id in comparison.lost if id not in targets]
        return await sift(self._rooms, self._tested, suspects, baseline)

    def _missing_expected(self, report: TestReport) -> list[str]:
        passed, before = set(report.passed), set(self._known_baseline.passed)
        wanted = [id for id in self._task.checks.expected if id not in passed and id not in before]
        return self._sentences(report, wanted, "{id} has to pass and {how}.")

    async def _not_kept(self, report: TestReport) -> list[str]:
        """Of what has to pass as well, what does not, and is not skipped without the patch, too."""
        kept = [id for id in self._task.checks.kept if id not in report.passed]
        if not kept:
            return []
        told = "running the tests without the patch"
        before = (await self._rooms.run(told, self._hidden, only=self._task.checks.kept)).report
        silent = [id for id in kept if _skipped(before, id) and _skipped(report, id)]
        wanted = [id for id in kept if id not in silent]
        return self._sentences(report, wanted, "{id} has to go on passing and {how}.")

    def _regressions(self, report: TestReport, sifted: Sifted) -> list[str]:
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
            *self._sentences(
                report,
                sifted.unsteady,
                "{id} now and then {how}; never without the patch.",
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

    async def _lint(self) -> list[str]:
        """The lint gate decides where it passes without the patch."""
        on_patch = await self._rooms.lint("running the lint command on the patch", self._tested)
        if on_patch is None or on_patch.ok:
            return []
        command = self._task.checks.lint_command
        base = await self._rooms.lint("running the lint command without the patch")
        if base is not None and not base.ok:
            self._notes.append(f"The lint command `{command}` fails without the patch as well.")
            return []
        return [f"The lint command `{command}` fails on the patch: {last_words(on_patch)}"]

    async def _solved(self, report: TestReport, comparison: Comparison) -> Verdict:
        trial = Trial(
            rooms=self._rooms,
            used=self._used,
            whole=self._patch,
            baseline=self._known_baseline,
            report=report,
            is_test=self._is_test,
        )
        evidence, answer = await side_by_side(grade(trial), ask(trial, self._seed))
        if comparison.still_failing:
            self._notes.append(
                f"{count(comparison.still_failing, 'fails', 'fail')} with and without the patch: "
                f"{listed(comparison.still_failing)}."
            )
        doubts = answer.forged if answer else ()
        status: VerdictStatus = "tampered" if doubts else "solved"
        if not doubts and (doubts := reasons_to_suspect(trial, answer)):
            status = "suspect"
        first = doubts[:NAMED] or (evidence.sentence,)
        return Verdict(
            status,
            (*first, *self._notes, *self._held_back_note()),
            None if doubts else evidence.grade,
            report,
            self._baseline,
            flaky=evidence.flaky,
            left_out=self._left_out,
            twins=answer.twins if answer else None,
            evidence=() if doubts else evidence.tests,
        )

    def _failed(self, reasons: Sequence[str], report: TestReport | None) -> Verdict:
        notes = (*self._notes, *self._held_back_note())
        return Verdict(
            "failed",
            (*reasons, *notes),
            report=report,
            baseline=self._baseline,
            left_out=self._left_out,
        )

    def _held_back_note(self) -> tuple[str, ...]:
        """On what the rebuild step did to files that only the base decides on."""
        if not self._rooms.held_back:
            return ()
        return (
            "The rebuild step changed files on the patch that it may not, and these changes were "
            f"not used: {listed(self._rooms.held_back, NAMED)}.",
        )


def _told(error: str, report: TestReport) -> bool:
    """Whether an error is that of a file that fails as a test does."""
    return any(error.startswith(f"{id} could not be collected") for id in report.failing)


def _skipped(report: TestReport, id: str) -> bool:
    """Whether a test ran without a say in the matter: skipped, or expected to fail, and did."""
    return id in report.results and report.results[id].status in ("skipped", "xfailed")


def _partial(baseline: TestReport) -> bool:
    """Whether a run on the base stopped early, so that it may lack tests that pass. One that was
    killed at its time limit would be again."""
    return bool(baseline.errors) or (not baseline.complete and baseline.exit_code is not None)


def _flaky_note(flaky: Sequence[str]) -> tuple[str, ...]:
    if not flaky:
        return ()
    return (f"Flaky, so not decisive: {listed(flaky, NAMED)}.",)
