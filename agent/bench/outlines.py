"""What is to be known of a suite's tasks before any of them is run."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from agent.codec import task_data
from sandbox.image import ImageSpec
from sandbox.policy import Policy
from sandbox.scratch import scratch_folder
from sandbox.trees import TreeStore
from tasks.suites.suite import Outline, Outlined, Suite, Unsupported

#: Of a task that cannot be run here there is nothing more to know.
_NONE = Outline("unsupported", ImageSpec(), Policy())


def outlines(
    suite: Suite, names: Sequence[str], told: Callable[[int], None] = lambda _: None
) -> dict[str, Outline]:
    """The outlines of the tasks by name; `told` hears how many there are so far. Blocks. Raises
    UsageError for a task that is none."""
    with ExitStack() as stack:
        found = {}
        outline = _outliner(suite, stack)
        for number, name in enumerate(names, 1):
            try:
                found[name] = outline(name)
            except Unsupported:
                found[name] = _NONE
            told(number)
    return found


def _outliner(suite: Suite, stack: ExitStack) -> Callable[[str], Outline]:
    if isinstance(suite, Outlined):
        return suite.outline
    store = TreeStore.create(stack.enter_context(scratch_folder("bench-")) / "trees.git")

    def outline(name: str) -> Outline:
        task = suite.load(name, store)
        return Outline(digest_of(task_data(task)), task.image, task.policy)

    return outline


def digest_of(data: object) -> str:
    """The SHA-256 of plain data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
