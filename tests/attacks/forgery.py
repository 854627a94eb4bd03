"""Hostile patches on tasks of several suites: what each changes, and how it has to be judged."""

import atexit
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from benchmarks import checkouts
from sandbox.container import Sandbox
from sandbox.patch import FILE, Change, Patch
from sandbox.trees import TreeStore
from tasks.suites import suite
from tasks.task import Task

FOLDER = Path(__file__).parent / "forgeries"
#: A task of one's own, whose tests report in words only.
_MAKE = {
    "base/calc.py": "def add(a, b):\n    return a - b\n",
    "base/test_calc.py": "import unittest\nfrom calc import add\n\n\nclass T(unittest.TestCase):\n"
    "    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n",
    "base/check.py": "from calc import add\n\nassert add(1, 2) == 3\n",
    "suite.toml": "".join(
        f'[[task]]\nid = "{name}"\ninstruction = "Mend add."\nbase = "base"\n'
        f'test_cmd = "{command}"\nexpected = ["{expected}"]\n'
        for name, command, expected in (
            ("words", "sh -c 'python3 -m unittest -v test_calc'", "test_calc.T.test_add"),
            ("exit", "python3 check.py", "python3 check.py"),
        )
    ),
}
_PART = re.compile(r"^--- (append|add) (\S+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Forgery:
    """A file of `forgeries/`: what it has to come out as, with `said` among the reasons, and the
    parts that it adds to files or writes. `task` is one of the starter suite, or SUITE/NAME.
    `naive` is how whoever trusts exit codes runs the tests: they end with 0."""

    name: str
    task: str
    verdict: str
    said: str
    naive: str
    parts: tuple[tuple[str, str, str], ...]

    @cached_property
    def suite_task(self) -> str:
        kind, _, name = self.task.rpartition("/")
        return f"{_place(kind)}/{name}"

    def load(self, store: TreeStore) -> Task:
        return suite.load(self.suite_task, store)

    def patch(self, task: Task) -> Patch:
        base = task.base
        changes = []
        for how, path, text in self.parts:
            old = base.store.blob(base.tree, path) if how == "append" else None
            changes.append(Change(path, FILE, (old + b"\n\n" if old else b"") + text.encode()))
        return Patch(tuple(changes))

    async def fools(self, box: Sandbox, patch: Patch, hidden: Patch | None) -> bool:
        """Whether the tests of a room end well with the patch, for who looks at no more."""
        await box.apply(patch.merge(hidden) if hidden else patch)
        return (await box.run(self.naive, timeout=120)).exit_code == 0


@cache
def _place(kind: str) -> str:
    """A suite, of tasks that are made for it where it is not the bundled one."""
    if not kind:
        return "starter"
    folder = Path(tempfile.mkdtemp(prefix="forgeries-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if kind == "quixbugs":
        checkouts.quixbugs(folder, 1)
    elif kind == "exercism":
        checkouts.exercism(folder, 1, ("go", "javascript", "rust"))
    else:
        for path, text in _MAKE.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return f"tasks:{folder}/suite.toml"
    return f"{kind}:{folder}"


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
