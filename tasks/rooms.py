"""Clean rooms: a fresh container for every run that counts, never one that was used before."""

import asyncio
import posixpath
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from sandbox.container import Sandbox
from sandbox.engine import lack
from sandbox.image import Image
from sandbox.patch import Patch
from sandbox.policy import MIB
from sandbox.pool import Pool
from sandbox.recipe import Recipe
from sandbox.results import CommandResult
from tasks.rebuilding import Build, bring, build
from tasks.runner import run_tests, support_files
from tasks.screening import guarded
from tasks.tally import TestProgress
from tasks.task import Task, TestReport

First = TypeVar("First")
Second = TypeVar("Second")
LINT_TIMEOUT = 300.0
# Runs of the same tests that took so long together are not followed by another one.
REPEATED_SECONDS = 10.0
LAST_CHARACTERS = 1_500
# Prints the top-level names on Python's path, but for what the harness put there itself.
_MODULES = """
import os, sys
names = set()
for folder in filter(os.path.isdir, sys.path[1:]):
    for name in os.listdir(folder):
        if name.endswith((".py", ".so")) or os.path.isdir(os.path.join(folder, name)):
            names.add(name.split(".")[0])
print(*filter(str.isidentifier, names))
"""


@dataclass(frozen=True)
class RoomRun:
    """What one clean room found. `again` are the reports of further runs in it, `rebuild` the
    result of that step where it was run."""

    report: TestReport
    rebuild: CommandResult | None = None
    again: tuple[TestReport, ...] = ()

    @property
    def reports(self) -> tuple[TestReport, ...]:
        return (self.report, *self.again)

    def passes(self, id: str) -> int:
        """In how many of its runs a test passed."""
        return sum(id in report.passed for report in self.reports)


class Rooms:
    """Opens clean rooms for one task, from `pool` where there is one; `progress` is told, in a few
    words, what each is for, `testing` each second how its tests stand."""

    def __init__(
        self,
        task: Task,
        image: Image,
        progress: Callable[[str], None] | None,
        testing: Callable[[TestProgress], None] | None,
        pool: Pool | None = None,
    ) -> None:
        self.task = task
        self._recipe = room_recipe(task, image)
        self._pool = pool
        self._progress = progress or (lambda _: None)
        self._testing = testing
        #: The tests' run on the base, once it is known: what reported in it is protected.
        self.baseline: TestReport | None = None
        self._built: dict[Patch, Build | None] = {}
        self._installed: frozenset[str] | None = None
        self._warned = False

    async def run(
        self,
        purpose: str,
        patch: Patch | None = None,
        *,
        only: Sequence[str] | None = None,
        timeout: float | None = None,
        repeat: int = 1,
    ) -> RoomRun:
        """Run the tests (`only` those ids) on the base with `patch`. `repeat` runs them so many
        times, fewer where that takes long.

        A required rebuild step that fails on the patch, or makes too much, leaves a report that
        says so. Raises InfrastructureError when the room dies, PatchError when the patch cannot be
        applied, and what `Sandbox.open` raises for the base.
        """
        self._progress(f"Clean room: {purpose}.")
        task = self.task
        built = await self._rebuilt(patch) if patch else None
        if built and not built.result.ok and task.rebuild and not task.rebuild.optional:
            return RoomRun(_not_rebuilt(task, built.result), built.result)
        if built and built.problem:
            return RoomRun(_not_rebuilt(task, built.result, built.problem), built.result)
        async with self._open(patch, built) as box:
            reports: list[TestReport] = []
            while len(reports) < repeat and sum(r.seconds for r in reports) < REPEATED_SECONDS:
                reports.append(
                    await run_tests(
                        box,
                        task.checks,
                        only=only,
                        keep_going=True,
                        timeout=timeout,
                        on_progress=self._testing,
                    )
                )
            rebuilt = built.result if built else box.rebuild_result
        return RoomRun(reports[0], rebuilt, tuple(reports[1:]))

    async def in_turn(
        self,
        purpose: str,
        patch: Patch,
        changes: Sequence[Patch],
        *,
        only: Sequence[str] | None,
        timeout: float,
    ) -> list[TestReport]:
        """Run the tests of one room, on the base with `patch`, after each of `changes`, which are
        to files of tests and name the same ones each. Raises as `run` does."""
        self._progress(f"Clean room: {purpose}.")
        built = await self._rebuilt(patch) if patch else None
        reports: list[TestReport] = []
        async with self._open(patch, built) as box:
            for change in changes:
                await box.apply(change, rebuild=False)
                if reports:
                    await _forget_bytecode(box, change)
                reports.append(
                    await run_tests(
                        box, self.task.checks, only=only, keep_going=True, timeout=timeout
                    )
                )
        return reports

    async def lint(self, purpose: str, patch: Patch | None = None) -> CommandResult | None:
        """The lint gate, in a room where nothing else was run; None for a task without one."""
        command = self.task.checks.lint_command
        if command is None:
            return None
        self._progress(f"Clean room: {purpose}.")
        built = await self._rebuilt(patch) if patch else None
        async with self._open(patch, built) as box:
            return await box.run(command, timeout=LINT_TIMEOUT)

    async def installed(self) -> frozenset[str]:
        """The names of modules that the image's Python finds without the workspace; asked once."""
        if self._installed is None:
            self._progress("Clean room: looking at the installed modules.")
            async with self._open() as box:
                found = await box.run(
                    ["python3", "-c", _MODULES],
                    cwd="/tmp",  # noqa: S108 - the sandbox's own
                    output_limit=MIB,
                )
            self._installed = frozenset(found.output.text.split())
        return self._installed

    @property
    def held_back(self) -> tuple[str, ...]:
        """The files that the rebuild step changed on a patch, and that were not used."""
        builds = filter(None, self._built.values())
        return tuple(sorted({path for one in builds for path in one.products.held_back}))

    async def _rebuilt(self, patch: Patch) -> Build | None:
        """What the rebuild step makes of a patch, in a room where nothing else runs; once for each
        patch. None where the patch does not concern it."""
        if self.task.rebuild is None or not self.task.rebuild.needed_for(patch):
            return None
        if patch not in self._built:
            checks = guarded(self.task, self.baseline)
            async with self._open() as box:
                self._built[patch] = await build(box, patch, checks, self.installed)
        return self._built[patch]

    @asynccontextmanager
    async def _open(
        self, patch: Patch | None = None, built: Build | None = None
    ) -> AsyncIterator[Sandbox]:
        """A room with the base, and the patch with what was built of it."""
        async with Sandbox.of(self._recipe, pool=self._pool) as box:
            if box.unexpected and not self._warned:
                self._warned = True
                self._progress(lack(box.unexpected))
            if patch:
                # Never the step itself: it is code of the patch, and tests run here.
                await box.apply(patch, rebuild=False)
            if built:
                await bring(box, built.products)
            yield box


def room_recipe(task: Task, image: Image) -> Recipe:
    """What a clean room of a task is opened with: no more than its tests need."""
    policy = task.policy.for_a_clean_room()
    return Recipe(image, task.base, policy, task.rebuild, support_files())


async def side_by_side(
    first: Coroutine[Any, Any, First], second: Coroutine[Any, Any, Second]
) -> tuple[First, Second]:
    """Two rooms at the same time. When one raises, the other is closed, and that is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(first), group.create_task(second)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tasks[0].result(), tasks[1].result()


def _not_rebuilt(task: Task, result: CommandResult, problem: str = "") -> TestReport:
    command = task.rebuild.command if task.rebuild else ""
    fails = f"The rebuild step `{command}` fails on the patch, so no test was run."
    return TestReport(
        results={},
        complete=False,
        command=task.checks.test_command,
        framework=task.checks.framework,
        errors=(last_words(result),),
        reason=problem or fails,
        output=result.output.text,
    )


async def _forget_bytecode(box: Sandbox, change: Patch) -> None:
    """Remove what was compiled of files that have changed since, perhaps in the same second and to
    the same length, which is all that Python goes by."""
    for folder in {posixpath.dirname(path) for path in change.paths}:
        with suppress(FileNotFoundError, NotADirectoryError):
            await box.remove(posixpath.join(folder, "__pycache__"))


def last_words(result: CommandResult) -> str:
    """The end of a command's output."""
    return result.output.text.strip()[-LAST_CHARACTERS:]
