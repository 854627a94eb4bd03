"""From what the user asked for to an attempt ready to run, and what is kept of it afterwards.

`start` begins a new run, `resume` takes an old one up; both give a `Session`, whose `solve` is the
attempt. A session stays readable after it was closed: its trees are in the run's folder.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent import runs, settings, trajectory
from agent.budget import Limits, Plan, check_cost_limit
from agent.choice import Say, announce, choose_model, warn_of_window
from agent.codec import task_data, task_from, verdict_data
from agent.context import ContextShares
from agent.gates import OPEN, Gates
from agent.keys import Value
from agent.models.base import Model, ModelInfo, Sampling
from agent.monitor import Bounds, Judge
from agent.outcome import Outcome
from agent.request import Checkout, Request, ca_bundle_of, image_of, settings_of, task_of
from agent.runs import Run
from agent.settings import Settings
from agent.solver import solve
from agent.trajectory import History, Listener, Recorder
from sandbox.engine import shared_engine
from sandbox.errors import UsageError
from sandbox.image import Image
from sandbox.patch import Patch
from sandbox.pool import Pool
from sandbox.trees import Base, TreeStore
from tasks.task import Task
from tools.tool import Toolbox
from tools.toolsets import Toolset, toolset


@dataclass
class Session:
    """One run with all that works on it. `judge` may be set to one that cuts reasoning short.

    An attempt beside others has their `pool`, and waits at their `gates`.
    """

    run: Run
    store: TreeStore
    task: Task
    model: Model
    image: Image
    recorder: Recorder
    plan: Plan
    toolset: Toolset
    checkout: Checkout | None
    history: History | None = None
    guidance: str = ""
    ca_bundle: bytes | None = None
    begun: bool = False
    tree: str = ""
    judge: Judge | None = None
    pool: Pool | None = None
    gates: Gates = OPEN
    verifier_image: Image | None = None

    async def solve(self) -> Outcome:
        """Runs the attempt. Raises what `agent.solver.solve` raises."""
        self.begun = True
        toolbox = Toolbox(self.toolset.tools)
        for remark in self.model.remarks(toolbox.specs):
            self.recorder.emit("note", text=remark)
        pool = nullcontext(self.pool) if self.pool else Pool(count=self.plan.warm)
        async with pool as rooms:
            outcome = await solve(
                self.task,
                self.model,
                self.image,
                toolbox,
                self.recorder,
                self.plan,
                history=self.history,
                guidance=self.guidance,
                ca_bundle=self.ca_bundle,
                pool=rooms,
                judge=self.judge,
                gates=self.gates,
                verifier_image=self.verifier_image,
            )
        self.tree = outcome.tree
        return outcome

    def patch(self) -> Patch:
        """The attempt's change against its base."""
        return self.store.between(self.task.base.tree, self.tree)

    def diff(self) -> str:
        return self.store.diff(self.task.base.tree, self.tree).decode("utf-8", "replace")

    def needed_checkout(self) -> Checkout:
        """The checkout that the task came from. Raises UsageError when it came from none."""
        if self.checkout is None:
            raise UsageError(
                f"the task {self.task.id} has no checkout to apply a patch to",
                f"The patch: greenroom show {self.run.id} --diff",
            )
        return self.checkout

    def commit_message(self) -> str:
        """A subject from the task's words, and trailers that name model and run."""
        words = " ".join(self.task.instruction.split()) or "Make the failing tests pass"
        subject = words if len(words) <= 72 else words[:69].rstrip() + "..."
        info = self.model.info
        model = info.name if info.real else "none (the turns came from a script)"
        return f"{subject}\n\nGreenroom-Model: {model}\nGreenroom-Run: {self.run.id}\n"

    def record_applied(self, how: str, where: str) -> None:
        """Notes in the log that the patch left the run's folder; the run has to be locked."""
        recorder = Recorder(self.run.trajectory)
        recorder.emit("applied", how=how, where=where)
        recorder.close()

    def document(self, outcome: Outcome) -> dict[str, Any]:
        """The JSON document of the session's end (docs/json.md)."""
        return {
            "schema": "greenroom.outcome/1",
            "status": outcome.status,
            "grade": outcome.grade,
            "reason": outcome.reason,
            "run": self.run.id,
            "task": {"id": self.task.id, "instruction": self.task.instruction},
            "model": self.model.info.as_dict(),
            "engine": shared_engine().as_dict(),
            "turns": outcome.turns,
            "usage": outcome.usage,
            "seconds": outcome.seconds,
            "cost_usd": outcome.cost,
            "malformed": outcome.malformed,
            "failing_before": list(outcome.baseline.failing),
            "failing": list(outcome.report.failing),
            "verdict": verdict_data(outcome.verdict) if outcome.verdict else None,
            "files": list(outcome.patch.paths),
            "diff": self.diff(),
        }


@asynccontextmanager
async def start(
    request: Request, listeners: Iterable[Listener], say: Say
) -> AsyncIterator[Session]:
    """A new run of what was asked for: settings, workspace, image and model are made ready.

    Raises UsageError, SetupError or ModelError, each shown to the user as it is. Nothing is left
    of a run that could not begin.
    """
    found = settings_of(request, say)
    model = await choose_model(found, say)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(model.close)
        plan = plan_of(found, model)
        announce(model.info, say)
        run = runs.create(request.words or request.suite_task or "tests")
        stack.enter_context(run.lock())
        try:
            store = run.store()
            asked = task_of(request, found, store)
            task, checkout = asked.task, asked.checkout
            for note in task.notes:
                say(note)
            ca_bundle = _relaxed(task, found, say)
            image, loading = await _ready(
                model, image_of(task.image, found, say, checkout=asked.image_files), say
            )
            tools = choose_toolset(found["toolset"], model, task)
            judging = await _verifier_image(task, found, say)
            plan = plan.for_task(task, given=found["candidates"])
            plan = replace(plan, as_a_whole=request.as_a_whole, must_fail=request.must_fail)
        except BaseException:
            run.remove()
            raise
        recorder = recorder_of(run, found, listeners)
        stack.callback(recorder.close)
        record_start(recorder, run, task, model.info, plan, tools, found, checkout, loading)
        yield Session(
            *(run, store, task, model, image, recorder, plan, tools, checkout),
            ca_bundle=ca_bundle,
            verifier_image=judging,
        )


@asynccontextmanager
async def resume(
    run: Run,
    flags: Mapping[str, Value],
    listeners: Iterable[Listener],
    say: Say,
    *,
    guidance: str = "",
) -> AsyncIterator[Session]:
    """Takes `run` up at its last complete turn, with its own settings but for `flags`.

    Raises UsageError when the run cannot be resumed (it never began, it is being worked on, it is
    solved and there is no guidance), SetupError or ModelError.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(run.lock())
        history = trajectory.history(run.events(), run.trajectory)
        if history.ended and history.ended["status"] == "solved" and not guidance:
            raise UsageError(
                f"run {run.id} is solved already",
                'Give guidance with -m "..." to go on all the same; its patch: '
                f"greenroom show {run.id} --diff",
            )
        if "verifier" in history.started["task"]:
            raise UsageError(
                f"run {run.id} cannot be gone on with: what it made of its container is gone",
                "Begin the task again with greenroom solve.",
            )
        found = _recorded_settings(history, flags)
        model = await choose_model(found, say)
        stack.push_async_callback(model.close)
        plan = plan_of(found, model)
        announce(model.info, say)
        store = run.store()
        task = task_from(history.started["task"], store)
        ca_bundle = _relaxed(task, found, say)
        image, _ = await _ready(model, image_of(task.image, found, say, checkout=task.base), say)
        # The conversation holds calls of these tools.
        tools = choose_toolset(history.started.get("toolset", "generic"), model, task)
        recorder = recorder_of(run, found, listeners)
        stack.callback(recorder.close)
        say(f"going on with run {run.id} at turn {history.turn + 1}")
        more = {"guidance": guidance} if guidance else {}
        recorder.emit("resumed", after=history.after, turn=history.turn, **more)
        where = history.started.get("checkout")
        checkout = Checkout.from_data(where) if where else None
        yield Session(
            *(run, store, task, model, image, recorder, plan, tools, checkout),
            history=history,
            guidance=guidance,
            ca_bundle=ca_bundle,
            begun=True,
        )


def choose_toolset(wanted: str, model: Model, task: Task) -> Toolset:
    """The task's tools called `wanted`, or for `auto` those that the prepared model is best served
    with.

    Raises UsageError for tools of whose names the model cannot be told.
    """
    name = model.toolset if wanted == "auto" else wanted
    if name not in ("generic", model.toolset) and model.info.real:
        raise UsageError(
            f"the tools of {name} have names that only its own format can write, and greenroom"
            f" does not speak it to {model.info.name}",
            "Leave --toolset away, or start a new run where this one began with another model.",
        )
    return toolset(name, task.policy, visible=task.checks.visible)


async def _verifier_image(task: Task, found: Settings, say: Say) -> Image | None:
    """The image that a task's verifier has for itself, where it has one."""
    if task.verifier is None or task.verifier.image is None:
        return None
    files = Base(task.base.store, task.verifier.image_files)
    return await image_of(task.verifier.image, found, say, checkout=files)


def _relaxed(task: Task, found: Settings, say: Say) -> bytes | None:
    """Says what the sandbox may do beyond the strict preset; the certificates that programs in it
    are told to trust."""
    for relaxation in task.policy.relaxations():
        say(f"sandbox: {relaxation}", always=True)
    return ca_bundle_of(task, found)


async def _ready(
    model: Model, image: Coroutine[None, None, Image], say: Say
) -> tuple[Image, float]:
    """Makes image and model ready side by side; a model that is no use stops the image's build.

    Returns the image and the seconds that the model took.
    """
    begun = time.monotonic()
    preparing = asyncio.create_task(model.prepare(say))
    imaging = asyncio.create_task(image)
    ready_at: list[float] = []
    preparing.add_done_callback(lambda _: ready_at.append(time.monotonic()))
    both = (preparing, imaging)
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
        for finished in done:
            finished.result()
    finally:
        for unfinished in both:
            unfinished.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    warn_of_window(model.info, say)
    return imaging.result(), ready_at[0] - begun


def plan_of(found: Settings, model: Model) -> Plan:
    """How attempts are run as the settings say. Raises UsageError for bounds that cannot hold."""
    # Candidates are tried in sandboxes that are put back between them.
    can_reset = found["preset"] != "compat"
    plan = Plan(
        limits=Limits(
            turns=found["turn_limit"],
            tokens=found["token_limit"],
            seconds=found["time_limit"],
            cost=found["cost_limit"],
        ),
        sampling=Sampling(
            temperature=found["temperature"],
            top_p=found["top_p"],
            max_output_tokens=found["max_output_tokens"],
            seed=found["seed"],
            reasoning_effort=found["reasoning_effort"],
        ),
        candidates=found["candidates"] or (model.default_candidates if can_reset else 1),
        warm=found["warm"],
        reasoning=Bounds(
            limit=found["reasoning_limit"],
            total=found["reasoning_total"],
            patterns=found["reasoning_patterns"],
            loops=found["reasoning_loops"] == "cut",
        ),
        malformed_retries=found["malformed_retries"],
        context=ContextShares(found["context_high"], found["context_low"]),
    )
    plan.context.check()
    check_cost_limit(plan.limits, model.info)
    return plan


def recorder_of(run: Run, found: Settings, listeners: Iterable[Listener]) -> Recorder:
    """The log of a run, in which no secret of the settings is ever written."""
    return Recorder(run.trajectory, secrets=settings.secrets(found), listeners=listeners)


def _absolute(model: Value) -> Value:
    """The name of a model that is a file or folder, so that it is found from any folder."""
    kind, colon, path = str(model or "").partition(":")
    if colon and kind in {"script", "hf"} and Path(path).exists():
        return f"{kind}:{Path(path).absolute()}"
    return model


def record_start(
    recorder: Recorder,
    run: Run,
    task: Task,
    info: ModelInfo,
    plan: Plan,
    tools: Toolset,
    found: Settings,
    checkout: Checkout | None = None,
    loading: float = 0.0,
) -> None:
    """Writes the first event of a run: what is solved, by whom, within which bounds."""
    recorder.emit(
        "run.started",
        run=run.id,
        greenroom=version("greenroom"),
        task=task_data(task),
        model=info.as_dict(),
        sampling=asdict(plan.sampling),
        limits={**plan.limits.as_dict(), "candidates": plan.candidates},
        settings={
            name: _absolute(value) if name == "model" else value
            for name, value in settings.recordable(found).items()
        },
        checkout=checkout.as_data() if checkout else None,
        ready={"model": round(loading, 3)},
        toolset=tools.name,
        engine=shared_engine().as_dict(),
    )


def _recorded_settings(history: History, flags: Mapping[str, Value]) -> Settings:
    """The run's own settings, which a resume must not take anew from files that changed since."""
    return replace(
        settings.restore(history.started["settings"], flags), ignored=(), repository_file=None
    )
