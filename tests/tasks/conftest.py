from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sandbox.image import Image
from sandbox.patch import FILE
from sandbox.trees import Base, TreeStore
from tasks.reading import RepositoryFiles
from tests.tasks.judging import Judge, judging

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
    return judging(image, tmp_path)
