"""The container in which a task of a whole file system is worked on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sandbox import saving
from sandbox.container import Sandbox
from sandbox.egress.record import NetworkRequest
from sandbox.engine import shared_engine
from sandbox.errors import SetupError
from sandbox.image import Image
from sandbox.patch import Change, Patch, PatchLimits
from sandbox.policy import GIB
from sandbox.recipe import Recipe
from sandbox.results import CommandResult
from sandbox.runtimeguard import Runtime
from sandbox.threads import in_thread
from sandbox.trees import EMPTY_TREE, Base
from tasks.suites.suite import Script
from tasks.task import Task, Verifier

LOGS = ("/logs/agent", "/logs/verifier", "/logs/artifacts")
SOLUTION = "solution"
TOP = "/"
#: What may be put into a container of such a task: its tests, its solution, its artifacts.
PLACED = PatchLimits(changes=100_000, file_bytes=GIB, total_bytes=GIB)
_PROGRAMS = 'IFS=:; for folder in $PATH; do [ ! -d "$folder" ] || ls -1 "$folder"; done'
_OUTPUT = 4 << 20


@dataclass(frozen=True)
class Work:
    """An open container of a task's image. `folder` is the one to work in; `guarded` and `programs`
    are what the supervisor runs from and which programs there were, before anything else ran.
    """

    box: Sandbox
    folder: str
    guarded: Runtime
    programs: frozenset[str]


def verifier_of(task: Task) -> Verifier:
    """Raises AssertionError for a task that has none."""
    if task.verifier is None:
        raise AssertionError(f"{task.id} is no task of a whole file system")
    return task.verifier


@asynccontextmanager
async def open_work(
    task: Task,
    image: Image,
    *,
    everywhere: bool = False,
    ca_bundle: bytes | None = None,
    on_request: Callable[[NetworkRequest], None] | None = None,
) -> AsyncIterator[Work]:
    """A container of the task's image to work in; with `everywhere` its workspace is all of the
    file system. Raises as `Sandbox.open` does."""
    verifier = verifier_of(task)
    engine = await in_thread(shared_engine)
    folder = verifier.work or await saving.folder_of(image, engine)
    recipe = Recipe(
        image,
        Base(task.base.store, EMPTY_TREE),
        task.policy,
        ca_bundle=ca_bundle,
        folder=TOP if everywhere else folder,
        variables=verifier.variables,
    )
    async with Sandbox.of(recipe, on_request=on_request) as box:
        guarded = await saving.note(box)
        made = await box.run(["mkdir", "-p", folder, *LOGS], cwd=TOP)
        listed = await box.run(_PROGRAMS, cwd=TOP, output_limit=_OUTPUT)
        if not made.ok or not listed.ok:
            raise SetupError(f"The image of {task.id} has no programs to work with.")
        yield Work(box, folder, guarded, frozenset(listed.output.text.splitlines()))


async def run_script(work: Work, task: Task, script: Script) -> CommandResult:
    """Runs a reference solution, in a container opened `everywhere`: how it ended."""
    await work.box.apply(placed(task, script.files, SOLUTION), rebuild=False, limits=PLACED)
    return await work.box.run(
        ["bash", "-c", script.command],
        cwd=work.folder,
        env={"DEBIAN_FRONTEND": "noninteractive", **dict(script.variables)},
        timeout=script.timeout,
        output_limit=_OUTPUT,
    )


def placed(task: Task, tree: str, folder: str) -> Patch:
    """The patch that puts the files of a tree of the task's store into a folder of the top."""
    found = task.base.store.between(EMPTY_TREE, tree, PLACED)
    return Patch(tuple(Change(f"{folder}/{c.path}", c.mode, c.content) for c in found))
