"""Bases made of a few files, in one store."""

from collections.abc import Callable, Mapping

import pytest

from sandbox.trees import Base, TreeStore

MakeBase = Callable[..., Base]


@pytest.fixture(scope="session")
def make_base(tmp_path_factory: pytest.TempPathFactory) -> MakeBase:
    """A base of the given files: path to text, bytes, or (mode, bytes)."""
    store = TreeStore.create(tmp_path_factory.mktemp("trees") / "store")

    def make(files: Mapping[str, str | bytes | tuple[int, bytes]], **ignore: object) -> Base:
        entries = []
        for path, content in files.items():
            mode, raw = content if isinstance(content, tuple) else (0o100644, content)
            entries.append((path, mode, raw.encode() if isinstance(raw, str) else raw))
        return Base(store, store.add_tree(entries), **ignore)  # type: ignore[arg-type]

    return make
