"""A private folder for the work of one process, gone at its end: also when that was a kill."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent import paths

_LOCK = "lock"
#: A folder without a lock is one that is just being made, unless it is older (seconds).
_MAKING = 60.0


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder of mode 0700; what dead processes left of theirs is removed first."""
    root = paths.private_folder(paths.cache_folder() / "scratch")
    _sweep(root)
    folder = Path(tempfile.mkdtemp(dir=root))
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(handle)


def _sweep(root: Path) -> None:
    for folder in root.iterdir():
        # Another process may be sweeping, too.
        with suppress(FileNotFoundError):
            if _is_left(folder):
                shutil.rmtree(folder)


def _is_left(folder: Path) -> bool:
    """Whether nobody holds a folder any more: the kernel lets go of a dead process's lock."""
    try:
        handle = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _MAKING
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
