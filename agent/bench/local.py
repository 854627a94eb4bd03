"""Attempts on this machine: all share one model, one pool of rooms, and images made once."""

import asyncio
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent import runs, trajectory
from agent.bench.gate import Gate
from agent.bench.given import PATCH
from agent.bench.images import Images, takes_files
from agent.bench.job import End, Job, Paused
from agent.bench.record import Result, Status
from agent.bench.reference import judge_base, judge_system
from agent.bench.results import result_of, unfinished
from agent.budget import Plan
from agent.codec import task_from, verdict_data
from agent.gates import Gates
from agent.models.base import ContextOverflow, Model, ModelError, ModelInfo, Unanswered
from agent.request import ca_bundle_of, suite_policy
from agent.runs import Run
from agent.session import Session, choose_toolset, plan_of, record_start, recorder_of
from agent.settings import Settings
from agent.trajectory import Event, Recorder
from agent.workbench import Untestable
from sandbox.errors import GreenroomError, InfrastructureError, PatchError, SetupError, UsageError
from sandbox.image import Image, ImageSpec
from sandbox.patch import Patch
from sandbox.pool import Pool
from sandbox.threads import in_thread
from sandbox.trees import Base, TreeStore
from tasks.suites.suite import Script, Scripted, Suite, Unsupported
from tasks.task import Task
from tasks.verify import verify
from tools.toolsets import toolset

Heard = Callable[[Job, Event], None]


@dataclass(frozen=True)
class Bounds:
    """How much is done at a time: attempts with a sandbox open, patches judged, rooms kept ready
    (in so many bytes together)."""

    attempts: int
    proving: int
    warm: int
    warm_bytes: int


def bounds_of(attempts: int, found: Settings) -> Bounds:
    """The bounds of this machine, for so many attempts at a time."""
    return Bounds(
        attempts=attempts,
        proving=max(2, os.cpu_count() or 1),
        warm=attempts * found["warm"],
        warm_bytes=memory_bytes() // 4,
    )


def memory_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class LocalEngine:
    """Does jobs of one suite in this process. Used as a context manager."""

    def __init__(
        self,
        suite: Suite,
        found: Settings,
        model: Model | None,
        images: Images,
        specs: Mapping[str, ImageSpec],
        bounds: Bounds,
        heard: Heard,
    ) -> None:
        """`specs` are the images of the tasks by name, `model` is prepared (None: no job needs
        one), `heard` is told the events of every attempt."""
        self._suite = suite
        self._found = found
        self._model = model
        self._plan = plan_of(found, model) if model else None
        self._images = images
        self._specs = specs
        self._heard = heard
        self._bounds = bounds
        self._turns = Gate(bounds.attempts)
        self._proofs = Gate(bounds.proving)
        self._pool = Pool(count=bounds.warm, memory_bytes=bounds.warm_bytes)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "LocalEngine":
        await self._stack.enter_async_context(self._images)
        await self._stack.enter_async_context(self._pool)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.__aexit__(*error)

    @property
    def proving(self) -> int:
        return self._proofs.inside

    def expect(self, jobs: tuple[Job, ...]) -> None:
        self._images.expect([self._specs[job.task] for job in jobs])

    def allow(self, turns: int) -> None:
        self._turns.allow(turns)

    def drain(self) -> None:
        self._turns.shut()

    async def attempt(self, job: Job) -> End:
        run = Run(job.path)
        try:
            return End(await self._attempt(job, run))
        except (Paused, asyncio.CancelledError):
            raise
        except GreenroomError as error:
            status, reason = self._status(error), _sentences(error)
            again = isinstance(error, InfrastructureError | SetupError | Unanswered)
            again = again and status == "infrastructure failed"
        except Exception as error:  # a fault of one task, or of ours in it, never ends the run
            await in_thread(_keep, job, error)
            status, again = "infrastructure failed", False
            reason = f"an error inside of greenroom: {type(error).__name__}: {error}"
        return End(await in_thread(unfinished, job, run, status, reason), again)

    def _status(self, error: GreenroomError) -> Status:
        """What an attempt that ended with an error counts as."""
        if isinstance(error, PatchError):
            return "invalid patch"
        if isinstance(error, UsageError | Untestable):
            return "unsupported"
        return "no patch" if self._is_own(error) else "infrastructure failed"

    def _is_own(self, error: GreenroomError) -> bool:
        """Whether an error is the attempt's own end: its conversation grew too long for the model,
        or its script is over."""
        written = self._model is not None and not self._model.info.real
        return isinstance(error, ContextOverflow) or (written and isinstance(error, ModelError))

    async def _attempt(self, job: Job, run: Run) -> Result:
        if job.way == "given" and (lack := await in_thread(_lack, job)):
            return await in_thread(unfinished, job, run, *lack)
        job.path.parent.mkdir(parents=True, exist_ok=True)
        if job.path.exists() and not await in_thread(run.began):
            await in_thread(run.remove)
        if not job.path.exists():
            await in_thread(runs.begin, job.path)
        with run.lock():
            events = await in_thread(_so_far, run)
            if not events or not _over(events):
                await self._work(job, run, events)
                events = await in_thread(run.events)
            return await in_thread(result_of, job, run, events)

    async def _work(self, job: Job, run: Run, events: list[dict[str, Any]]) -> None:
        store = run.store()
        if events and "verifier" in events[0]["task"]:
            # The container with its state is gone, so there is nothing to go on from.
            await in_thread(run.trajectory.unlink)
            events = []
        if events:
            task = task_from(events[0]["task"], store)
        else:
            task = await self._load(job, store)
        try:
            async with AsyncExitStack() as stack:
                image = await stack.enter_async_context(self._images.of(task.image, task.base))
                judging = None
                if task.verifier and task.verifier.image:
                    base = Base(store, task.verifier.image_files)
                    own = self._images.of(task.verifier.image, base)
                    judging = await stack.enter_async_context(own)
                if job.way == "model":
                    await self._solve(job, run, task, image, judging, events)
                else:
                    await self._judge(job, run, task, image, judging)
        finally:
            self._pool.forget(store)

    async def _load(self, job: Job, store: TreeStore) -> Task:
        """The task as its suite has it. Some take its base from its image, so that is here first:
        pulled with patience, and noted as the run's."""
        spec = self._specs.get(job.task)
        async with AsyncExitStack() as stack:
            if spec is not None and not takes_files(spec):
                await stack.enter_async_context(self._images.of(spec, None))
            task = await in_thread(self._suite.load, job.task, store)
        return replace(task, policy=suite_policy(task.policy, self._found))

    async def _solve(
        self,
        job: Job,
        run: Run,
        task: Task,
        image: Image,
        judging: Image | None,
        events: list[dict[str, Any]],
    ) -> None:
        """The attempt of a model, from its beginning or its last complete turn."""
        if self._model is None or self._plan is None:
            raise UsageError("a job for a model came to an engine without one")
        history = trajectory.history(events, run.trajectory) if events else None
        model = self._model.for_attempt(job.task)
        name = history.started["toolset"] if history else self._found["toolset"]
        tools = choose_toolset(name, model, task)
        plan = replace(self._plan, sampling=replace(self._plan.sampling, seed=job.seed))
        plan = plan.for_task(task, given=self._found["candidates"])
        with self._recorder(job, run) as recorder:
            if history is None:
                record_start(recorder, run, task, model.info, plan, tools, self._found)
            else:
                recorder.emit("resumed", after=history.after, turn=history.turn)
            session = Session(
                *(run, task.base.store, task, model, image, recorder, plan, tools, None),
                history=history,
                ca_bundle=ca_bundle_of(task, self._found),
                pool=self._pool,
                gates=Gates(self._turns, self._proofs),
                verifier_image=judging,
            )
            await session.solve()

    async def _judge(
        self, job: Job, run: Run, task: Task, image: Image, judging: Image | None
    ) -> None:
        """A patch that is there already, or none, in clean rooms."""
        info = ModelInfo(name=job.way, backend="none", real=False)
        tools = toolset("generic", task.policy)
        run.trajectory.unlink(missing_ok=True)  # an earlier try has nothing to go on from
        store, patch, tree = task.base.store, Patch(), task.base.tree
        script = None
        if task.verifier:
            script = await in_thread(self._script, job, store)
        elif job.way != "empty":
            diff = await in_thread(self._diff, job)
            await in_thread((run.folder / PATCH).write_bytes, diff)
            patch = await in_thread(store.from_diff, tree, diff)
            tree = await in_thread(store.apply, tree, patch)
        with self._recorder(job, run) as recorder:
            record_start(recorder, run, task, info, Plan(), tools, self._found)
            async with self._proofs:
                if task.verifier:
                    verdict = await judge_system(
                        task,
                        image,
                        judging,
                        script,
                        ca_bundle=ca_bundle_of(task, self._found),
                        on_request=lambda made: recorder.emit("network", **made.as_dict()),
                    )
                elif job.way != "empty":
                    verdict = await verify(task, patch, image=image, pool=self._pool)
                else:
                    verdict = await judge_base(task, image, self._pool)
            recorder.emit("verdict", verdict=verdict_data(verdict), tree=tree)
            if verdict.status == "infrastructure failed":
                raise InfrastructureError(" ".join(verdict.reasons), cause=verdict.cause)
            recorder.emit(
                "run.ended",
                status="solved" if verdict.solved else "not solved",
                reason=" ".join(verdict.reasons[:1]),
                turns=0,
                usage={},
                seconds=round(verdict.seconds, 3),
                cost=None,
                tree=tree,
                grade=verdict.grade,
                malformed={},
                limit="",
            )

    def _script(self, job: Job, store: TreeStore) -> Script | None:
        """The solution of a task of a whole file system; None where that is judged as it is."""
        if job.way == "given":
            raise Unsupported(
                f"no patch can be judged on {job.task}: its outcome is a whole system"
            )
        if job.way == "empty":
            return None
        found = self._suite.script(job.task, store) if isinstance(self._suite, Scripted) else None
        if found is None:
            raise Unsupported(f"the task {job.task} has no reference solution")
        return found

    def _diff(self, job: Job) -> bytes:
        """The patch of a job that has one already."""
        if job.way == "given":
            return Path(job.patch).read_bytes()
        diff = self._suite.gold(job.task)
        if diff is None:
            raise Unsupported(f"the task {job.task} has no reference solution")
        return diff

    @contextmanager
    def _recorder(self, job: Job, run: Run) -> Iterator[Recorder]:
        recorder = recorder_of(run, self._found, [lambda event: self._heard(job, event)])
        try:
            yield recorder
        finally:
            recorder.close()


def _sentences(error: GreenroomError) -> str:
    """An error and what to do about it, in one line."""
    message = " ".join(error.message.split())
    if error.hint and message[-1:] not in ".!?:":
        message += "."
    return " ".join(f"{message} {error.hint}".split())


def _lack(job: Job) -> tuple[Status, str] | None:
    """What a job comes to that has no patch to judge; None where there is one."""
    if job.lost:
        return "unsupported", job.lost
    if not os.path.exists(job.patch):
        return "no patch", "nothing was handed in for this task"
    if not Path(job.patch).read_bytes().strip():
        return "no patch", "the patch that was handed in is empty"
    return None


def _so_far(run: Run) -> list[dict[str, Any]]:
    """The log of an attempt that was begun; one that cannot be read, as a power cut may leave it,
    is put aside, and the attempt begun anew."""
    if not run.trajectory.exists():
        return []
    try:
        return run.events()
    except UsageError:
        run.trajectory.rename(run.folder / "damaged.jsonl")
        return []


def _over(events: list[dict[str, Any]]) -> bool:
    """Whether a log is that of an attempt that came to its end."""
    return bool(events[-1]["type"] == "run.ended")


def _keep(job: Job, error: BaseException) -> None:
    """Leaves the traceback of a fault of ours beside the attempt."""
    job.path.mkdir(parents=True, exist_ok=True)
    text = "".join(traceback.format_exception(error))
    (job.path / "error.txt").write_text(text, "utf-8", errors="backslashreplace")
