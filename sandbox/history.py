"""A throwaway git repository for the workspace, so that `git diff` and `git log` work inside.

It is one commit of the base. The host lays it out as plain files from its own store: nothing has to
run inside, and its objects lie outside of the workspace, read-only. Nobody trusts it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sandbox.git import Git
from sandbox.scratch import scratch_folder
from sandbox.trees import Base, Entry
from sandbox.upload import KEPT_BASES, KEPT_BYTES

OBJECTS = "git/objects"
MESSAGE = "base"
CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
[user]
\tname = sandbox
\temail = sandbox@localhost
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
# An object in a pack has a head and a checksum beside its content; trees and the index come on top.
BYTES_PER_FILE = 512
BYTES_PER_PACK = 1 << 20
# A larger base goes without: the objects are sent beside the files, and held in memory meanwhile.
LARGEST = 256 << 20


@dataclass(frozen=True)
class History:
    """The repository's files: `private` go below the supervisor's folder, `workspace` into it."""

    private: Mapping[str, bytes]
    workspace: Mapping[str, bytes]


def history_bytes(entries: Iterable[Entry]) -> int:
    """At most so much space the objects take."""
    return BYTES_PER_PACK + sum(entry.size + BYTES_PER_FILE for entry in entries)


def history_of(base: Base, private: str) -> History:
    """The repository of a base; `private` is the supervisor's folder inside. Blocks; may raise
    GitError."""
    if history_bytes(base.entries.values()) <= KEPT_BYTES + BYTES_PER_PACK:
        return _kept_history(base, private)
    return make_history(base, private)


@lru_cache(KEPT_BASES)
def _kept_history(base: Base, private: str) -> History:
    return make_history(base, private)


def make_history(base: Base, private: str) -> History:
    """Lay the repository out, as `history_of` gives it."""
    store = base.store
    commit = store.commit(base.tree, MESSAGE)
    git = Git(store.folder)
    with scratch_folder("history-", beside=store.folder) as folder:  # git renames packs into it
        options = ("-q", "--revs", "--window=0", "--no-reuse-delta")
        git.run("pack-objects", *options, str(folder / "pack"), stdin=f"{commit}\n".encode())
        index = folder / "index"
        git.run("read-tree", base.tree, environment={"GIT_INDEX_FILE": str(index)})
        packed = {f"{OBJECTS}/pack/{path.name}": path.read_bytes() for path in _packs(folder)}
        own = {
            "HEAD": b"ref: refs/heads/main\n",
            "config": CONFIG.encode(),
            "index": index.read_bytes(),
            "objects/info/alternates": f"{private}/{OBJECTS}\n".encode(),
            "refs/heads/main": f"{commit}\n".encode(),
        }
    return History(packed, {f".git/{path}": content for path, content in own.items()})


def _packs(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix in (".pack", ".idx"))
