"""Private folders for temporary files: gone at their end, and soon after a kill of this process.

All of a process's lie in one folder of its own, below the user's cache folder. The process removes
that at its end; its janitor does after a kill; where the janitor was killed too, the next process.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sandbox import janitor
from sandbox.cache import cache_folder
from sandbox.errors import SetupError

_LOCK = "lock"
#: A folder without a lock is one that is just being made, unless it is older (seconds).
_MAKING = 60.0

_own: dict[tuple[int, Path], Path] = {}
_making = threading.Lock()


@contextmanager
def scratch_folder(prefix: str = "", *, beside: Path | None = None) -> Iterator[Path]:
    """An empty folder of mode 0700, gone at its end. A file that is to be renamed to a place in the
    folder `beside` must be on its file system: where that is another one, so is this folder."""
    place = process_folder()
    if beside is not None and beside.stat().st_dev != place.stat().st_dev:
        place = beside
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place) as name:
        yield Path(name)


def remove_left_folders(*, dry_run: bool = False) -> list[Path]:
    """Remove the folders of processes that died, and whose janitor did; those that it found."""
    root = _root()
    left = []
    for folder in root.iterdir() if root.exists() else ():
        # Another process may be removing it, too.
        with suppress(FileNotFoundError):
            if _is_left(folder):
                left.append(folder)
                if not dry_run:
                    shutil.rmtree(folder)
    return left


def process_folder() -> Path:
    """The folder of this process; with it comes its janitor, who must be there before anything is
    made that a kill would leave. Raises SetupError where it cannot be made."""
    root = _root()
    with _making:
        key = (os.getpid(), root)
        if key not in _own or not _own[key].exists():
            try:
                _own[key] = _make(root)
            except OSError as error:
                raise SetupError(
                    f"No temporary folder can be made at {root}: {error}",
                    "See that it can be written and the disk is not full, or name another cache "
                    "folder with XDG_CACHE_HOME.",
                ) from error
        return _own[key]


def _root() -> Path:
    return cache_folder() / "scratch"


def _make(root: Path) -> Path:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.chmod(0o700)
    with suppress(OSError):  # what cannot be removed is old, and `greenroom prune` says it
        remove_left_folders()
    folder = Path(tempfile.mkdtemp(dir=root))
    # Held until this process is gone: the kernel lets go of a dead one's.
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    janitor.hire()
    atexit.register(_leave, folder, os.getpid())
    return folder


def _leave(folder: Path, owner: int) -> None:
    """At an end in order. (A child that was forked does not own what it inherited.)"""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether nobody holds a folder any more."""
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
