"""Patches on a tiny project, judged in real rooms."""

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Protocol

from sandbox.image import Image, ImageSpec
from sandbox.patch import FILE, Change, Patch
from sandbox.policy import Policy
from sandbox.rebuild import Rebuild
from sandbox.trees import Base, TreeStore
from tasks.task import Checks, Task, Verdict
from tasks.verify import verify

CALC = {
    "calc.py": "def add(a, b):\n    return a - b\n\n\ndef twice(n):\n    return n * 2\n",
    "tests/test_calc.py": (
        "from calc import add, twice\n"
        "def test_add(): assert add(1, 2) == 3\n"
        "def test_zero(): assert add(0, 0) == 0\n"
        "def test_twice(): assert twice(4) == 8\n"
    ),
}
FIX = {"calc.py": CALC["calc.py"].replace("a - b", "a + b")}
ADD, ZERO, TWICE = (f"tests/test_calc.py::test_{name}" for name in ("add", "zero", "twice"))


class Judge(Protocol):
    def __call__(
        self,
        files: Mapping[str, str],
        changes: Mapping[str, str | None],
        *,
        hidden: Mapping[str, str] | None = None,
        rebuild: Rebuild | None = None,
        policy: Policy | None = None,
        as_a_whole: bool = False,
        **checks: object,
    ) -> Awaitable[Verdict]: ...


def patch_of(changes: Mapping[str, str | None]) -> Patch:
    return Patch(
        tuple(
            Change(path, None, None) if text is None else Change(path, FILE, text.encode())
            for path, text in changes.items()
        )
    )


def judging(image: Image, folder: Path) -> Judge:
    """What judges patches; its store is in `folder`."""

    async def run(
        files: Mapping[str, str],
        changes: Mapping[str, str | None],
        *,
        hidden: Mapping[str, str] | None = None,
        rebuild: Rebuild | None = None,
        policy: Policy | None = None,
        as_a_whole: bool = False,
        **checks: object,
    ) -> Verdict:
        store = TreeStore.create(folder / "store")
        tree = store.add_tree((path, FILE, text.encode()) for path, text in files.items())
        settings = {
            "test_command": "python3 -m pytest -q",
            "framework": "pytest",
            "timeout": 60.0,
            "hidden": patch_of(hidden) if hidden else None,
            **checks,
        }
        task = Task(
            id="calc",
            instruction="Repair it.",
            base=Base(store, tree),
            image=ImageSpec(),
            checks=Checks(**settings),  # type: ignore[arg-type]
            policy=policy or Policy(),
            rebuild=rebuild,
        )
        return await verify(task, patch_of(changes), image=image, as_a_whole=as_a_whole)

    return run
