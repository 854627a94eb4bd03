from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.image import Image, ImageSpec
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.rebuild import Rebuild
from sandbox.trees import Base, TreeStore
from tasks.task import Checks, Task, Verdict
from tasks.verify import verify
from tests.tasks.judging import Judge, patch_of


@pytest.fixture
def judge(image: Image, tmp_path: Path) -> Judge:
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
        store = TreeStore.create(tmp_path / "store")
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
