"""Hostile patches on tasks of the starter suite: what each changes, and how it has to be judged."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sandbox.container import Sandbox
from sandbox.patch import FILE, Change, Patch
from sandbox.trees import TreeStore
from tasks.suites import starter
from tasks.task import Task

FOLDER = Path(__file__).parent / "forgeries"
_PART = re.compile(r"^--- (append|add) (\S+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Forgery:
    """A file of `forgeries/`: what it has to come out as, with `said` among the reasons, and the
    parts that it adds to files or writes. `naive` is how whoever trusts exit codes runs the tests:
    they end with 0."""

    name: str
    task: str
    verdict: str
    said: str
    naive: str
    parts: tuple[tuple[str, str, str], ...]

    @cached_property
    def suite_task(self) -> str:
        return f"starter/{self.task}"

    def load(self, store: TreeStore) -> Task:
        return starter.load(self.task, store)

    def patch(self, task: Task) -> Patch:
        base = task.base
        changes = []
        for how, path, text in self.parts:
            old = base.store.blob(base.tree, path) if how == "append" else None
            changes.append(Change(path, FILE, (old + b"\n\n" if old else b"") + text.encode()))
        return Patch(tuple(changes))

    async def fools(self, box: Sandbox, patch: Patch) -> bool:
        """Whether the tests of a room end well with the patch, for who looks at no more."""
        await box.apply(patch)
        return (await box.run(self.naive, timeout=60)).exit_code == 0


def read(name: str) -> Forgery:
    head, *parts = _PART.split((FOLDER / f"{name}.txt").read_text())
    fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    return Forgery(
        name=name,
        task=fields["task"],
        verdict=fields["verdict"],
        said=fields.get("said", ""),
        naive=fields.get("naive", "python3 -m pytest -q"),
        parts=tuple(zip(parts[::3], parts[1::3], parts[2::3], strict=True)),
    )


def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.txt")))
