"""A node of a cluster: does jobs with an engine of its own, and sends back what they left.

It runs in a process that the cluster started there, as an actor, and has no say in what counts: who
asked it decides, and logs.
"""

import io
import tarfile
import tempfile
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent.bench.job import Job, Paused, Way
from agent.bench.local import LocalEngine, bounds_of
from agent.bench.record import Result
from agent.bench.stock import images_on_this_machine
from agent.choice import choose_model
from agent.settings import Settings
from agent.trajectory import Event
from sandbox.errors import GreenroomError, SetupError
from sandbox.image import Image, ImageSpec
from sandbox.threads import in_thread
from tasks.suites import suite as suites


@dataclass(frozen=True)
class Setup:
    """What every node of a run is given. `specs` are the images of the tasks by name, `version` is
    the suite's, `greenroom` ours where the run was started."""

    suite: str
    version: str
    way: Way
    found: Settings
    specs: dict[str, ImageSpec]
    greenroom: str


@dataclass(frozen=True)
class Reply:
    """What became of a job on a node: its result, or None where it was broken off as asked; its
    folder, packed; what the node's engine has made so far of its task's image."""

    result: Result | None
    again: bool
    folder: bytes
    images: tuple[Image, ...] = ()


class Node:
    """The actor. `attempts` is how many jobs it is given at a time."""

    def __init__(self, setup: Setup, attempts: int) -> None:
        self._setup = setup
        self._attempts = attempts
        self._stack = AsyncExitStack()
        self._engine: LocalEngine | None = None
        self._place = Path()
        self._images: dict[ImageSpec, dict[Image, None]] = {}

    async def open(self) -> tuple[str, str]:
        """Makes ready what jobs need here. Returns a message and advice where that cannot be."""
        try:
            await self._open()
        except GreenroomError as error:
            await self._stack.aclose()
            return error.message, error.hint
        return "", ""

    async def _open(self) -> None:
        setup = self._setup
        if version("greenroom") != setup.greenroom:
            raise SetupError(
                f"this node has greenroom {version('greenroom')}, the run {setup.greenroom}",
                "Install the same version on every node.",
            )
        suite = await in_thread(suites.find, setup.suite)
        if await in_thread(lambda: suite.version) != setup.version:
            raise SetupError(
                f"the suite {setup.suite} has other contents on this node",
                "Give every node the same files, at the same path.",
            )
        folder = tempfile.TemporaryDirectory(prefix="greenroom-node-")
        self._place = Path(self._stack.enter_context(folder))
        model = None
        if setup.way == "model":
            model = await choose_model(setup.found, self._say)
            self._stack.push_async_callback(model.close)
            await model.prepare(self._say)
        images = images_on_this_machine(setup.found, self._place, self._say, self._made)
        bounds = bounds_of(self._attempts, setup.found)
        parts = (suite, setup.found, model, images, setup.specs, bounds)
        self._engine = await self._stack.enter_async_context(LocalEngine(*parts, _unheard))

    def _made(self, spec: ImageSpec, image: Image) -> None:
        self._images.setdefault(spec, {})[image] = None

    def _say(self, text: str, *, always: bool = False) -> None:
        """Nobody looks on here."""

    async def attempt(self, job: dict[str, Any], folder: bytes, patch: bytes | None) -> Reply:
        """Does a job, from what is packed in `folder`, if anything is; `patch` is the diff that was
        given for it."""
        if self._engine is None:
            raise RuntimeError("the node was not opened")
        asked = Job.from_dict(job)
        here = self._place / asked.task / str(asked.attempt)
        here.parent.mkdir(parents=True, exist_ok=True)
        await in_thread(unpack, folder, here)
        diff = here.parent / f"{asked.attempt}.diff"
        if patch is not None:
            await in_thread(diff.write_bytes, patch)
        given = str(diff) if asked.patch else ""
        result, again = None, False
        with suppress(Paused):
            end = await self._engine.attempt(replace(asked, folder=str(here), patch=given))
            result, again = end.result, end.again
        spec = self._setup.specs.get(asked.task)
        images = tuple(self._images.get(spec, ())) if spec else ()
        return Reply(result, again, await in_thread(pack, here), images)

    async def drain(self) -> None:
        """Has every attempt here stop before its next turn."""
        if self._engine is not None:
            self._engine.drain()

    async def close(self) -> None:
        """Ends what runs here; nothing is left on the node."""
        await self._stack.aclose()


def _unheard(job: Job, event: Event) -> None:
    """What goes on inside of an attempt is not told across the cluster."""


def pack(folder: Path) -> bytes:
    """The files of an attempt's folder; empty where there is none. Blocks."""
    if not folder.is_dir():
        return b""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.add(folder, ".", filter=lambda entry: None if entry.name == "./lock" else entry)
    return data.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Puts what `pack` made in the place of a folder. Blocks. It comes from a process of the same
    run; all the same nothing is written outside of the folder."""
    if not data:
        return
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        made = Path(beside) / "made"
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(made, filter="data")
        if folder.exists():
            folder.rename(Path(beside) / "old")
        made.rename(folder)
