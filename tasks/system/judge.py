"""The verdict on a whole file system: the task's verifier, in a container that nothing of the work
ever ran in."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from sandbox import saving
from sandbox.container import Sandbox
from sandbox.errors import InfrastructureError, PatchError, SetupError
from sandbox.image import Image
from sandbox.imagefiles import files_in_container
from sandbox.lifecycle import to_its_end
from sandbox.patch import Change, Patch
from sandbox.recipe import Recipe
from sandbox.results import CommandResult, signal_name
from sandbox.threads import in_thread
from sandbox.trees import EMPTY_TREE, Base
from tasks.rooms import last_words
from tasks.system.doubts import (
    doubtful,
    entry_points,
    fresh_bytecode,
    loads_into_pytest,
    named_in,
)
from tasks.system.reward import FOLDER, SOLVED, NoReward, Reward, read_reward
from tasks.system.twin import twin_of
from tasks.system.work import PLACED, TOP, Work, placed, verifier_of
from tasks.task import Task, TestReport, TestResult, Verdict, VerdictStatus

TESTS = "tests"
SCRIPT = f"{TESTS}/test.sh"
_ARTIFACTS = "/logs/artifacts"
# What nobody but the verifier may have written.
_REWARDS = f"{FOLDER.lstrip('/')}/"
# What takes a container away that commands which are root in it may have brought about.
_BY_ITSELF = ("memory", "protocol", "silent", "supervisor")
_OUTPUT = 1 << 20
_NAMED = 10


@dataclass(frozen=True)
class _Run:
    """One run of the verifier: its reward, None where it gave none, and why not. `signal` is the
    one that ended its script, if one did."""

    report: TestReport
    reward: Reward | None
    problem: str = ""
    signal: str = ""

    @property
    def solved(self) -> bool:
        return self.reward is not None and self.reward.solved


async def judge(
    task: Task,
    work: Work,
    *,
    verifier_image: Image | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Ends the work and judges what it has left: every process of it is killed, and the verifier
    runs in a fresh container, on an image of all its files, or, on `verifier_image`, with its
    artifacts only. The work's sandbox is good for nothing afterwards.

    What takes a container away from outside gives the verdict "infrastructure failed"; where it
    died by itself, the work may have had it die, and that is suspect. Raises SetupError where the
    state cannot be kept, or no container be opened on the task's own image either.
    """
    started = time.monotonic()
    judging = _Judging(task, work, progress)
    try:
        await saving.end(work.box)
        if verifier_image is not None:
            verdict = await judging.apart(verifier_image)
        else:
            verdict = await judging.on_what_is_left()
    except PatchError as problem:
        verdict = Verdict("invalid patch", (f"What is handed in cannot be carried: {problem}",))
    except _NotOpened as problem:
        verdict = Verdict("failed", (str(problem),))
    except InfrastructureError as error:
        reasons = tuple(
            filter(None, (f"The verifier's container broke down: {error.message}", error.hint))
        )
        if error.cause in _BY_ITSELF:
            verdict = Verdict("suspect", reasons)
        else:
            verdict = Verdict("infrastructure failed", reasons, cause=error.cause)
    return replace(verdict, seconds=time.monotonic() - started)


class _NotOpened(Exception):
    """No container can be opened on what the work has left, though on the task's image one can."""


class _Judging:
    def __init__(self, task: Task, work: Work, progress: Callable[[str], None]) -> None:
        self._task = task
        self._verifier = verifier_of(task)
        self._work = work
        self._progress = progress

    async def on_what_is_left(self) -> Verdict:
        """The verifier on an image of all that the work has left."""
        async with saving.saved(self._work.box, self._work.guarded) as left:
            if left.touched:
                return Verdict(
                    "suspect",
                    (
                        f"The work changed {left.touched}, which the judging container itself runs"
                        " from: nothing that it says could be believed, so it was not asked.",
                    ),
                )
            tests = placed(self._task, self._verifier.tests, TESTS)
            script = {change.path: change.content or b"" for change in tests}.get(SCRIPT, b"")
            changed = doubtful(left.changes, self._work.programs | named_in(script))
            if twin_of(self._task, tests) is None:
                changed += await in_thread(self._plugins, left.changes)
            return await self._judged(left.image, tests, Patch(), changed)

    async def apart(self, image: Image) -> Verdict:
        """The verifier on an image of its own, with the artifacts of the work."""
        carried = await in_thread(self._carried)
        bundled = self._verifier.bundled
        tests = Patch() if bundled else placed(self._task, self._verifier.tests, TESTS)
        return await self._judged(image, tests, carried, ())

    def _plugins(self, changes: Mapping[str, int]) -> list[str]:
        """The files by which the work has pytest load something, where no second run with a test
        that fails would show what that does."""
        ident, engine = self._work.box.container_id, self._work.box.engine
        return [
            path
            for path in entry_points(changes)
            for _, _, content in files_in_container(ident, path, engine=engine)
            if loads_into_pytest(content)
        ]

    def _carried(self) -> Patch:
        found: dict[str, Change] = {}
        declared = {path for path, _ in self._verifier.artifacts}
        sources = self._verifier.artifacts
        if _ARTIFACTS not in declared:
            sources = ((_ARTIFACTS, ()), *sources)
        for source, left_out in sources:
            ident, engine = self._work.box.container_id, self._work.box.engine
            for path, mode, content in files_in_container(ident, source, engine=engine):
                left = any(_fits(path, source, pattern) for pattern in left_out)
                if not left and not path.startswith(_REWARDS):
                    found.setdefault(path, Change(path, mode, content))
        return Patch(tuple(found.values()))

    async def _judged(
        self, image: Image, tests: Patch, carried: Patch, changed: Sequence[str]
    ) -> Verdict:
        self._progress("running the task's verifier in a fresh container")
        run = await self._run(image, carried.merge(tests))
        verdict = _verdict(run)
        if not verdict.solved:
            return verdict
        doubts = await self._doubts(run, image, tests, carried, changed)
        if doubts:
            return replace(verdict, status="suspect", reasons=(*doubts, *verdict.reasons))
        return verdict

    async def _doubts(
        self, run: _Run, image: Image, tests: Patch, carried: Patch, changed: Sequence[str]
    ) -> list[str]:
        """Why a good reward is not to be believed as it stands."""
        doubts = []
        if run.reward and run.reward.twice:
            doubts.append("reward.json and reward.txt were both written, and do not agree.")
        if changed:
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            doubts.append(
                "The work changed what the verifier's own tools come from:"
                f" {', '.join(changed[:_NAMED])}{more}."
            )
        if run.signal:
            doubts.append(f"The verifier's script was ended from outside, by {run.signal}.")
        twin = twin_of(self._task, tests)
        if twin is not None:
            self._progress("running the verifier with a test that has to fail")
            again = await self._run(image, carried.merge(twin))
            if again.solved:
                doubts.append(
                    "The verifier gives the full reward also when a test that always fails is"
                    " added to each of its files of tests."
                )
        return doubts

    async def _run(self, image: Image, files: Patch) -> _Run:
        verifier = self._verifier
        base = Base(self._task.base.store, EMPTY_TREE)
        recipe = Recipe(
            image,
            base,
            verifier.policy,
            ca_bundle=self._work.ca_bundle if verifier.policy.network else None,
            folder=TOP,
            variables=(*verifier.variables, *verifier.own_variables),
        )
        async with self._opened(recipe) as box:
            await box.apply(files, rebuild=False, limits=PLACED)
            folder = self._work.folder
            if verifier.image is not None:
                folder = verifier.work or await saving.folder_of(image, box.engine)
            result = await box.run(
                ["bash", "-c", verifier.command],
                cwd=folder,
                env=dict([fresh_bytecode()]),
                timeout=verifier.timeout,
                output_limit=_OUTPUT,
            )
            reward, problem = None, ""
            if result.reason == "timeout":
                problem = f"The verifier did not end within {verifier.timeout:g} s."
            else:
                try:
                    reward = await read_reward(box)
                except NoReward as none:
                    problem = str(none)
        ended = signal_name(result.signal) if result.signal is not None else ""
        return _Run(_report(verifier.command, result, reward, problem), reward, problem, ended)

    @asynccontextmanager
    async def _opened(self, recipe: Recipe) -> AsyncIterator[Sandbox]:
        """A fresh container of the verifier's."""
        try:
            box = await Sandbox.start_new(recipe)
        except (SetupError, InfrastructureError) as error:
            if self._verifier.image is None and await self._opens(recipe):
                raise _NotOpened(
                    f"No container can be opened on what the work has left: {error.message}"
                ) from error
            raise
        box.on_request = self._work.on_request
        try:
            yield box
        finally:
            await to_its_end(box.close())

    async def _opens(self, recipe: Recipe) -> bool:
        """Whether one of the same kind opens on the image that the work began with."""
        try:
            async with Sandbox.of(replace(recipe, image=self._work.box.image)):
                return True
        except (SetupError, InfrastructureError):
            return False


def _verdict(run: _Run) -> Verdict:
    if run.reward is None:
        ended = f" It ended with {run.report.exit_code}: {run.report.output.strip()[-300:]}"
        return Verdict("failed", (run.problem + ended,), report=run.report)
    value = run.reward.value
    if run.solved:
        reason = f"The task's own verifier gives the reward {value:g}."
    else:
        reason = f"The reward is {value:g}; {SOLVED:g} is needed."
    status: VerdictStatus = "solved" if run.solved else "failed"
    return Verdict(status, (reason,), report=run.report, rewards=run.reward.values)


def _report(command: str, result: CommandResult, reward: Reward | None, problem: str) -> TestReport:
    """The rewards as a report: each a test, which passes with the full one."""
    values = reward.values if reward else {}
    results = {
        name: TestResult(name, "passed" if value >= SOLVED else "failed", message=f"{value:g}")
        for name, value in values.items()
    }
    return TestReport(
        results=results,
        complete=reward is not None,
        command=command,
        framework="unknown",
        exit_code=result.exit_code,
        reason=problem,
        output=last_words(result),
        seconds=result.seconds,
        max_rss_bytes=result.max_rss_bytes,
    )


def _fits(path: str, source: str, pattern: str) -> bool:
    """Whether a pattern leaves out a file of an artifact: it fits its path there, or the name of
    the file or of a folder above it."""
    below = f"/{path}".removeprefix(source.rstrip("/")).lstrip("/")
    return fnmatchcase(below, pattern) or any(
        fnmatchcase(name, pattern) for name in below.split("/")
    )
