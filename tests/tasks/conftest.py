from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sandbox.image import Image, ImageSpec
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.rebuild import Rebuild
from sandbox.trees import Base, TreeStore
from tasks.reading import RepositoryFiles
from tasks.task import Checks, Task, Verdict
from tasks.verify import verify
from tests.tasks.judging import Judge, patch_of

MakeFiles = Callable[[Mapping[str, str]], RepositoryFiles]


@pytest.fixture(scope="session")
def make_files(tmp_path_factory: pytest.TempPathFactory) -> MakeFiles:
    """The files of a repository: path to text."""
    store = TreeStore.create(tmp_path_factory.mktemp("files") / "store")

    def make(contents: Mapping[str, str]) -> RepositoryFiles:
        tree = store.add_tree((path, FILE, text.encode()) for path, text in contents.items())
        return RepositoryFiles(Base(store, tree))

    return make


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
