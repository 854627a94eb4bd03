"""A folder that one process at a time works in."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import UsageError


@contextmanager
def held(folder: Path, what: str) -> Iterator[None]:
    """Holds `folder` for this process, by its file `lock`; a process that dies lets go of it.
    Raises UsageError, which calls it `what`, while another process holds it."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{what} is being worked on by another process", "Wait for it, or stop it first."
            ) from None
        yield
    finally:
        os.close(handle)
