"""Whether the tasks of a suite are what they say: that their reference solutions hold and that
nothing holds without them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sandbox.errors import PatchError, UsageError
from sandbox.image import Image
from sandbox.patch import Patch
from sandbox.trees import TreeStore
from tasks.protection import violations
from tasks.screening import guarded
from tasks.suites.suite import Suite, Unsupported
from tasks.task import Task, Verdict
from tasks.verify import verify

#: What makes a result that a single run cannot show: a task is seen so often to hold.
TIMES = 3


@dataclass(frozen=True)
class Finding:
    """What was found out about one task, in a sentence, and what to do where something is wrong.

    `unsupported` cannot be run here; `passes already` has nothing that fails without its solution;
    `flaky` was seen to hold only now and then.
    """

    task: str
    status: Literal["good", "unsupported", "wrong", "passes already", "flaky"]
    told: str = ""
    hint: str = ""

    @property
    def bad(self) -> bool:
        return self.status not in ("good", "unsupported")


@dataclass(frozen=True)
class Examined:
    """A finding with the task and its solution, where there are any."""

    finding: Finding
    task: Task | None = None
    gold: Patch | None = None


def examine(suite: Suite, name: str, store: TreeStore) -> Examined:
    """Load a task and see that its solution applies and changes only what a patch may."""
    try:
        task = suite.load(name, store)
    except Unsupported as error:
        return Examined(Finding(name, "unsupported", error.message, error.hint))
    except (UsageError, PatchError) as error:
        return Examined(Finding(name, "wrong", error.message, error.hint))
    try:
        diff = suite.gold(name)
        gold = None if diff is None else store.from_diff(task.base.tree, diff)
    except (UsageError, PatchError) as error:
        told = f"the reference solution: {error.message}"
        return Examined(Finding(name, "wrong", told, error.hint), task)
    if gold is None:
        return Examined(Finding(name, "good", "it has no reference solution"), task)
    refused = violations(guarded(task), task.base, gold)
    if refused:
        told = f"the reference solution may not be used: {refused[0]}."
        hint = "Leave that out of it; tests that it brings belong to the hidden ones."
        return Examined(Finding(name, "wrong", told, hint), task, gold)
    return Examined(Finding(name, "good"), task, gold)


async def prove(
    name: str,
    task: Task,
    gold: Patch,
    image: Image,
    *,
    times: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Finding:
    """See in clean rooms, so many times, that tests fail on the base and pass with the solution.
    Raises as `verify` does."""
    seen = [await verify(task, gold, image=image, progress=progress) for _ in range(times)]
    broken = [v for v in seen if v.status == "infrastructure failed"]
    failed = [v for v in seen if not v.solved]
    if broken:
        return Finding(name, "wrong", broken[0].reasons[0], "Try again.")
    if len(failed) == len(seen):
        return Finding(name, "wrong", f"the reference solution fails: {failed[0].reasons[0]}")
    unsteady = sorted({id for verdict in seen for id in verdict.flaky})
    if failed or unsteady:
        told = f"now pass, now fail: {', '.join(unsteady[:3])}"
        if failed:
            told = f"{len(failed)} of {len(seen)} checks fail: {failed[0].reasons[0]}"
        hint = "Take these tests out, or mend what they depend on."
        return Finding(name, "flaky", told, hint)
    if not all(_shown(verdict) for verdict in seen):
        told = "no test that fails without the reference solution passes with it"
        return Finding(name, "passes already", told, "Add a test that shows what is to be done.")
    return Finding(name, "good", f"gold passes, the base fails ({times} of {times})")


def _shown(verdict: Verdict) -> bool:
    return verdict.grade == "proved"
