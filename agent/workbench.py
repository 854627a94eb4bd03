"""The sandbox that an attempt works in, with the tests and the trees of its task.

A state is a tree in the attempt's own repository: the task's base with the workspace's patch. What
the tests themselves leave behind (a coverage file, a generated log) is found once, after the
baseline run, and never counts as part of a patch.
"""

import difflib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from functools import partial

from agent.codec import report_data
from agent.missing import NO_FILE, by_advice, missing
from agent.trajectory import Recorder
from sandbox.container import Sandbox
from sandbox.egress.record import NetworkRequest
from sandbox.engine import lack
from sandbox.errors import SetupError
from sandbox.image import Image
from sandbox.patch import Patch
from sandbox.pool import Pool
from tasks.compare import newly_failing, newly_passing
from tasks.rooms import room_recipe
from tasks.runner import run_tests, support_files
from tasks.system.work import Work, open_work
from tasks.tally import TestProgress
from tasks.task import Task, TestReport

#: A suite slower than this (seconds) is not run whole after every change, only its failing tests.
QUICK_ENOUGH = 20.0
#: Candidates that are tried at the same time.
_MOST_BOXES = 4


class Untestable(SetupError):
    """The tests of a task cannot be run in its image at all."""


class Workbench:
    """An open sandbox and what the solver asks of it."""

    def __init__(
        self,
        box: Sandbox,
        task: Task,
        image: Image,
        recorder: Recorder,
        stack: AsyncExitStack,
        another: Callable[[], AbstractAsyncContextManager[Sandbox]],
        pool: Pool | None,
        work: Work | None = None,
    ) -> None:
        self.box = box
        self.work = work
        self.task = task
        self.by_products: frozenset[str] = frozenset()
        self._image = image
        self._recorder = recorder
        self._stack = stack
        self._another = another
        self.pool = pool
        self._boxes = [box]
        self._named: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        task: Task,
        image: Image,
        recorder: Recorder,
        *,
        tree: str | None,
        resettable: bool,
        ca_bundle: bytes | None = None,
        pool: Pool | None = None,
    ) -> AsyncIterator["Workbench"]:
        """Opens a sandbox on the task's base, or on the state `tree`. Each of its requests on the
        way out is recorded; programs trust `ca_bundle` there. Clean rooms come from `pool` where
        there is one.

        Raises SetupError or InfrastructureError, shown to the user.
        """

        def requested(request: NetworkRequest) -> None:
            recorder.emit("network", **request.as_dict())

        def sandbox(patch: Patch | None, resettable: bool) -> AbstractAsyncContextManager[Sandbox]:
            return Sandbox.open(
                image,
                task.base,
                task.policy,
                rebuild=task.rebuild,
                patch=patch,
                support=support_files(),
                resettable=resettable,
                ca_bundle=ca_bundle,
                on_request=requested,
            )

        patch = task.base.store.between(task.base.tree, tree) if tree else None
        async with AsyncExitStack() as stack:
            another = partial(sandbox, None, resettable=True)
            if task.verifier is not None:
                task.policy.check(resettable=resettable)
                opening = open_work(task, image, ca_bundle=ca_bundle, on_request=requested)
                work = await stack.enter_async_context(opening)
                bench = cls(work.box, task, image, recorder, stack, another, pool, work)
                bench._record_box("work", work.box)
                yield bench
                return
            box = await stack.enter_async_context(sandbox(patch, resettable))
            bench = cls(box, task, image, recorder, stack, another, pool)
            bench._record_box("work", box)
            yield bench

    async def prepare_room(self) -> None:
        """Begins to open a clean room, which will be asked for when the tests are green."""
        if self.pool is not None and self.work is None:
            await self.pool.prepare(room_recipe(self.task, self._image))

    async def screening_boxes(self) -> Sequence[Sandbox]:
        """Sandboxes to try candidates in, as many as there are processors, a few at most: the
        working one, which has to be resettable, and others, which are opened when first asked for.
        """
        while len(self._boxes) < min(self.box.processors, _MOST_BOXES):
            self._boxes.append(await self._stack.enter_async_context(self._another()))
            self._record_box("candidates", self._boxes[-1])
        return self._boxes

    def _record_box(self, purpose: str, box: Sandbox) -> None:
        self._recorder.emit(
            "sandbox",
            purpose=purpose,
            image=box.image.reference,
            policy=self.task.policy.as_dict(),
            container=box.container_id,
            rebuild=rebuild_told(box),
            lacking=list(box.lacking),
        )
        self._note_once(lack(box.unexpected))

    async def patch(self) -> Patch:
        """The workspace's change against the base, without what the tests leave behind; nothing
        where the outcome is a whole file system.

        What cannot be part of a patch (a link, a pipe) is named once.
        """
        if self.work is not None:
            return Patch()
        patch = await self.box.delta()
        for note in self.box.delta_notes:
            self._note_once(f"not part of the patch: {note}")
        kept = tuple(change for change in patch.changes if change.path not in self.by_products)
        return Patch(kept)

    def _note_once(self, text: str) -> None:
        if text and text not in self._named:
            self._named.add(text)
            self._recorder.emit("note", text=text)

    async def settle(self, paths: Iterable[str]) -> None:
        """Takes `paths` as by-products of the tests from now on."""
        self.by_products |= frozenset(paths)

    def tree(self, patch: Patch) -> str:
        """The tree of base and patch, stored durably."""
        return self.task.base.store.apply(self.task.base.tree, patch)

    def diff(self, old: str, new: str) -> str:
        """The diff from one tree to another, as text for people and models."""
        return self.task.base.store.diff(old, new).decode("utf-8", "replace")

    async def restore(self, tree: str, now: str) -> None:
        """Brings the workspace from the state `now` to the state `tree`."""
        await self.box.apply(self.task.base.store.between(now, tree))

    async def rebuild(self, old: str, new: str) -> None:
        """Reruns the rebuild step when a model's own changes touched what it depends on."""
        step = self.task.rebuild
        if step is None or not step.needed_for(self.task.base.store.between(old, new)):
            return
        result = await self.box.run(step.command, timeout=step.timeout)
        if not result.ok:
            text = f"the rebuild step failed: {result.output.text[-500:].strip()}"
            self._recorder.emit("note", text=text)

    async def baseline(self) -> TestReport:
        """The tests on the base; what they leave behind is a by-product from now on. Raises
        Untestable, shown to the user, where they cannot be run."""
        self._recorder.emit("progress", text="running the tests on the base")
        report = await self.test("baseline")
        await self.settle((await self.box.delta()).paths)
        if not report.ran:
            why = report.reason or "no test ran"
            raise Untestable(
                f"the tests could not be run: `{report.command}`: {why}\n"
                + report.output.strip()[-800:],
                "Try `greenroom check`, or give another command with --test-cmd.",
            )
        return report

    async def test(
        self,
        purpose: str,
        *,
        only: Sequence[str] = (),
        quick: bool = False,
        previous: TestReport | None = None,
    ) -> TestReport:
        """Runs the tests (`only` these, where given) and records the report."""
        report = await run_tests(
            self.box,
            self.task.checks,
            only=only or None,
            quick=quick,
            on_output=self.show,
            on_progress=self.show_testing,
        )
        self.record(purpose, report, previous)
        return report

    def record(self, purpose: str, report: TestReport, previous: TestReport | None) -> None:
        """Records what the tests said, and what that changes."""
        self._recorder.emit(
            "tests",
            purpose=purpose,
            report=report_data(report),
            newly_passing=list(newly_passing(previous, report)) if previous else [],
            newly_failing=list(newly_failing(previous, report)) if previous else [],
        )

    def note_missing(self, report: TestReport) -> None:
        """Tells the user what the sandbox lacks for the tests, which the model cannot bring, and
        which expected tests are not there."""
        lacking = missing(report, {entry.path for entry in self.task.base.entries.values()})
        for advice, what in by_advice(lacking).items():
            if advice != NO_FILE:  # the model may be about to write it
                self._recorder.emit("note", text=f"missing: {'; '.join(what)}. {advice}")
        checks = self.task.checks
        for id in checks.expected if checks.hidden is None else ():
            if id not in report.results:
                near = difflib.get_close_matches(id, list(report.results), n=1, cutoff=0.5)
                meant = f"; did you mean {near[0]}?" if near else ""
                text = f"no test of the base is the expected {id}{meant}"
                self._recorder.emit("note", text=text)

    async def probe(
        self, box: Sandbox, *, only: Sequence[str] | None, timeout: float
    ) -> TestReport:
        """Runs tests on a candidate, within `timeout` seconds; nothing is shown or recorded."""
        return await run_tests(box, self.task.checks, only=only, timeout=timeout)

    async def trace(self, only: Sequence[str]) -> TestReport:
        """Runs the tests `only` with a line trace."""
        return await run_tests(self.box, self.task.checks, only=only, trace=True)

    def show(self, output: bytes) -> None:
        """Hands a running command's output to the live view."""
        self._recorder.emit("output", text=output.decode("utf-8", "replace"))

    def show_testing(self, progress: TestProgress) -> None:
        """Hands the live view how a test run stands."""
        self._recorder.emit("testing", **asdict(progress))


def rebuild_told(box: Sandbox) -> str:
    """How the rebuild step of a sandbox went, in a line; empty where there is none."""
    result = box.rebuild_result
    if result is None:
        return ""
    if result.ok:
        return f"ok in {result.seconds:.1f} s"
    last = result.output.text.strip().splitlines()[-1:] or ["no output"]
    return f"failed ({result.reason} {result.exit_code}): {last[0]}"
