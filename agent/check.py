"""The tests of a checkout in the room, without a model."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.missing import Missing, missing
from agent.request import Request, image_of, settings_of, task_of
from agent.workbench import rebuild_told
from sandbox.container import Sandbox
from sandbox.engine import lack
from sandbox.image import Image
from sandbox.scratch import scratch_folder
from sandbox.trees import TreeStore
from tasks.runner import run_tests, support_files
from tasks.tally import TestProgress
from tasks.task import Task, TestReport


@dataclass(frozen=True)
class Found:
    """What a check found. Times are in seconds; `rebuild` says how the rebuild step went."""

    task: Task
    image: Image
    report: TestReport
    missing: tuple[Missing, ...]
    rebuild: str
    open_seconds: float
    seconds: float


async def check(
    request: Request,
    say: Callable[[str], None],
    testing: Callable[[TestProgress], None] | None = None,
) -> Found:
    """Builds the image and runs the tests on what the user has now; `testing` is told each second
    how they stand.

    Raises UsageError, SetupError or InfrastructureError, each shown to the user as it is.
    """
    begun = time.monotonic()
    found = settings_of(request, say)
    with scratch_folder() as folder:
        store = TreeStore.create(folder / "trees.git")
        asked = task_of(request, found, store)
        # The tests count when they pass in a clean room, so they run as there.
        task = replace(asked.task, policy=asked.task.policy.for_a_clean_room())
        for note in task.notes:
            say(note)
        image = await image_of(task.image, found, say, checkout=asked.image_files)
        opened = time.monotonic()
        async with Sandbox.open(
            image, task.base, task.policy, rebuild=task.rebuild, support=support_files()
        ) as box:
            open_seconds = time.monotonic() - opened
            if line := lack(box.unexpected):
                say(line)
            say("running the tests ...")
            report = await run_tests(box, task.checks, keep_going=True, on_progress=testing)
            rebuild = rebuild_told(box)
        lacking = missing(report, {entry.path for entry in task.base.entries.values()})
    return Found(
        task=task,
        image=image,
        report=report,
        missing=lacking,
        rebuild=rebuild,
        open_seconds=open_seconds,
        seconds=time.monotonic() - begun,
    )
