"""One sitting of a benchmark run: from what the user asked for to a runner at work in its folder.

<folder>/manifest.json               what the run is of
<folder>/results.jsonl               a line for each attempt that has its result
<folder>/attempts/<task>/<n>/        the attempt itself, as a run of `greenroom solve`
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent import settings
from agent.bench import given, manifest, record
from agent.bench.cluster import RayEngine
from agent.bench.concurrency import Controller
from agent.bench.given import Given
from agent.bench.job import Job, Way
from agent.bench.local import LocalEngine, bounds_of, memory_bytes
from agent.bench.meter import Meter
from agent.bench.node import Setup
from agent.bench.outlines import outlines
from agent.bench.pacing import Pacer
from agent.bench.record import Result, ResultLog
from agent.bench.results import place
from agent.bench.runner import RunLimits, Runner, Watcher
from agent.bench.selection import Selection
from agent.bench.stock import images_on_this_machine
from agent.bench.tally import Tally
from agent.choice import Say, announce, choose_model
from agent.folderlock import held
from agent.keys import Value
from agent.models.base import Model
from agent.session import plan_of
from agent.settings import Settings
from sandbox.errors import UsageError
from sandbox.image import ImageSpec
from sandbox.policy import MIB
from sandbox.threads import in_thread
from tasks.suites import suite as suites
from tasks.suites.suite import Outline, Suite

#: What an attempt at work takes of the machine, as a rule of thumb, where nobody said how many.
_ATTEMPTS_A_CORE = 8
_ATTEMPT_BYTES = 512 * MIB


@dataclass(frozen=True)
class Wish:
    """What the command was asked for. `workers` is the most attempts at a time (None: as the model
    and the machine allow), `folder` where the run is kept (None: a new one), `flags` are settings
    given on the command line, `given` the patches of a run that judges some. With `preview` it is
    only said what would be run; `cluster` is the address of a Ray cluster (None: this machine)."""

    suite: str
    way: Way = "model"
    attempts: int = 1
    selection: Selection = field(default_factory=Selection)
    workers: int | None = None
    folder: Path | None = None
    limits: RunLimits = field(default_factory=RunLimits)
    flags: Mapping[str, Value] = field(default_factory=dict)
    given: Given | None = None
    preview: bool = False
    cluster: str | None = None


@dataclass
class Sitting:
    """A run that is ready to be worked on. `done_before` is how many results earlier sittings have
    left, of `total`."""

    folder: Path
    manifest: dict[str, Any]
    runner: Runner
    meter: Meter
    pacer: Pacer | None
    total: int
    done_before: int
    workers: int

    @property
    def tally(self) -> Tally:
        return self.runner.tally

    async def work(self) -> None:
        """Works until every attempt has a result or the run is drained. Raises as `Runner.run`."""
        work = asyncio.create_task(self.runner.run())
        both = {work, asyncio.create_task(self.pacer.run())} if self.pacer else {work}
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)


@dataclass(frozen=True)
class _Prepared:
    """What a run is of, before anything of it is kept."""

    suite: Suite
    found: Settings
    names: tuple[str, ...]
    outlines: Mapping[str, Outline]


@asynccontextmanager
async def opened(wish: Wish, watcher: Watcher, say: Say) -> AsyncIterator[Sitting]:
    """Makes a run ready, or takes up the one that the folder holds.

    Raises UsageError, SetupError or ModelError, each shown to the user as it is; a folder that was
    not there then is not left behind.
    """
    prepared = await _prepare(wish)
    found = prepared.found
    async with AsyncExitStack() as stack:
        model = None
        if wish.way == "model":
            model = await choose_model(found, say)
            stack.push_async_callback(model.close)
            await model.prepare(say)
            announce(model.info, say)
        plan = plan_of(found, model) if model else None
        _check_cost_limit(wish, model)
        wanted = await in_thread(
            manifest.manifest_of, _what(wish, prepared), prepared.outlines, found, model, plan
        )
        folder = (wish.folder or _new_folder(prepared.suite)).absolute()
        kept = stack.enter_context(_kept(folder, wanted))
        if wish.given:
            await in_thread(_keep_given, wish.given, folder)
        log = ResultLog(folder / "results.jsonl")
        tally, done = Tally(), set()
        for result in record.read(log.path):
            if result.key not in done:
                tally.add(result)
                done.add(result.key)
        meter = Meter(model.info.price if model else None)
        most = wish.workers or _most(model)
        specs = {name: outline.image for name, outline in prepared.outlines.items()}
        engine: LocalEngine | RayEngine
        note = partial(manifest.note_image, folder / "manifest.json", kept)
        if wish.cluster is None:
            images = images_on_this_machine(found, folder, say, note)
            parts = (prepared.suite, found, model, images, specs, bounds_of(most, found))
            engine = await stack.enter_async_context(LocalEngine(*parts, meter.hear))
        else:
            setup = _setup(wish, prepared, specs)
            cluster = RayEngine(setup, wish.cluster, say, note)
            engine = await stack.enter_async_context(cluster)
            most = wish.workers or cluster.room
        watching = _Watching(meter, watcher)
        jobs = _jobs(wish, prepared, folder)
        runner = Runner(
            engine,
            (job for job in jobs if job.key not in done),
            *(log, tally, watching),
            most=most,
            limits=wish.limits,
            in_flight=meter.in_flight,
        )
        meter.told = runner.look
        pacer = None
        if model and model.info.real and most > 1:
            pacer = Pacer(Controller(most), model, meter, runner)
        total = len(prepared.names) * wish.attempts
        yield Sitting(folder, kept, runner, meter, pacer, total, len(done), most)


@dataclass(frozen=True)
class Preview:
    """What a sitting would do: `names` in their order; `done` results are there already."""

    names: tuple[str, ...]
    model: str
    done: int


def preview(wish: Wish) -> Preview:
    """Says what would be run, and makes nothing. Raises UsageError."""
    found = settings.load(None, wish.flags)
    names = _names(wish, suites.find(wish.suite))
    log = wish.folder / "results.jsonl" if wish.folder else None
    done = sum(result.task in names for result in record.read(log)) if log else 0
    model = {
        "model": found["model"] or "a model that is found here",
        "gold": "the suite's own solutions",
        "given": wish.given.made_by if wish.given else "",
    }
    return Preview(names, model.get(wish.way, "no patch"), done)


async def _prepare(wish: Wish) -> _Prepared:
    found = settings.load(None, wish.flags)
    suite = await in_thread(suites.find, wish.suite)
    names = await in_thread(_names, wish, suite)
    return _Prepared(suite, found, names, await in_thread(outlines, suite, names))


def _names(wish: Wish, suite: Suite) -> tuple[str, ...]:
    """The tasks of a run, in their order."""
    names = tuple(suite.names())
    if wish.given:
        wish.given.check(names, suite.reference)
        if wish.given.tasks is not None:
            names = tuple(name for name in names if name in wish.given.tasks)
    return wish.selection.choose(names)


def _setup(wish: Wish, prepared: _Prepared, specs: dict[str, ImageSpec]) -> Setup:
    suite = prepared.suite
    parts = (suite.reference, suite.version, wish.way, prepared.found, specs)
    return Setup(*parts, greenroom=version("greenroom"))


def _what(wish: Wish, prepared: _Prepared) -> manifest.What:
    suite, made = prepared.suite, wish.given
    what = manifest.What(suite.reference, suite.version, wish.way, wish.attempts)
    return replace(what, made_by=made.made_by, patches=made.digest) if made else what


def _jobs(wish: Wish, prepared: _Prepared, folder: Path) -> Iterator[Job]:
    """All attempts of a run, those at one task after each other: their image is at hand then."""
    recorded = settings.recordable(prepared.found)
    seed = prepared.found["seed"]
    for name in prepared.names:
        for attempt in range(1, wish.attempts + 1):
            yield Job(
                suite=prepared.suite.reference,
                task=name,
                attempt=attempt,
                way=wish.way,
                folder=str(folder / place(name, attempt)),
                settings=recorded,
                seed=None if seed is None else seed + attempt - 1,
                patch=str(given.place(folder, name, attempt)) if wish.given else "",
                lost=wish.given.lost.get((name, attempt), "") if wish.given else "",
            )


def _keep_given(made: Given, folder: Path) -> None:
    """Puts the patches that were given into the run's folder."""
    for (task, attempt), diff in made.patches.items():
        path = given.place(folder, task, attempt)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            beside = path.with_suffix(".new")
            beside.write_bytes(diff)
            beside.replace(path)


def _most(model: Model | None) -> int:
    """How many attempts at a time the model and the machine allow."""
    cores = os.cpu_count() or 1
    here = max(1, min(_ATTEMPTS_A_CORE * cores, memory_bytes() // _ATTEMPT_BYTES))
    return min(here, model.most_at_once) if model else cores + 1


def _check_cost_limit(wish: Wish, model: Model | None) -> None:
    if wish.limits.cost is not None and model and model.info.price is None:
        raise UsageError(
            f"--run-cost-limit {wish.limits.cost:g} cannot hold: the price of {model.info.name} is"
            " not known",
            "Give --price-input and --price-output (US dollars per million tokens), or drop it.",
        )


def _new_folder(suite: Suite) -> Path:
    kind, _, place = suite.reference.partition(":")
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    name = "-".join(filter(None, (kind, Path(place).stem))).lower()
    return Path("greenroom-runs") / f"{name}-{now}"


def _maker(folder: Path) -> Path:
    """What is there already of the way to a folder."""
    return next(each for each in (folder, *folder.parents) if each.exists())


@contextmanager
def _kept(folder: Path, wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The folder's manifest, written where there is none; no other process may work there. Raises
    UsageError for a folder that holds something else."""
    path = folder / "manifest.json"
    if (folder.exists() and not folder.is_dir()) or not _maker(folder).is_dir():
        raise UsageError(f"{folder} cannot be a folder", "Give another with --output.")
    if folder.exists() and not path.exists() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty and holds no benchmark run", "Give another with --output."
        )
    if path.exists():
        manifest.check_same(manifest.read(path), wanted, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder, f"the run in {folder}"):
        if not path.exists():
            manifest.write(path, wanted)
        yield manifest.read(path)


class _Watching:
    """Tells both the meter and the one who looks on."""

    def __init__(self, meter: Meter, watcher: Watcher) -> None:
        self._meter = meter
        self._watcher = watcher

    def started(self, job: Job) -> None:
        self._watcher.started(job)

    def retried(self, job: Job, reason: str, seconds: float) -> None:
        self._watcher.retried(job, reason, seconds)

    def paused(self, job: Job) -> None:
        self._watcher.paused(job)

    def ended(self, result: Result) -> None:
        self._meter.forget(result.key)
        self._watcher.ended(result)
