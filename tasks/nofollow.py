"""Files of a checkout, read and written without following a symbolic link on the way.

Git's own commands would run the checkout's filters and follow what it planted; so contents pass
through here. Each folder of a path is opened from the one above it, links refused.
"""

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sandbox.errors import UsageError
from sandbox.patch import EXECUTABLE, FILE, SYMLINK, encode_path

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A planted FIFO must not hang the reader: opened non-blocking, then looked at.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
NOT_REMOVED = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.ENOENT, errno.ENOTDIR)
STAGED = re.compile(r"\.greenroom-[0-9a-f]{16}")
WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class State:
    """What stands at a path: mode as git counts it, or None for what git does not keep (a folder,
    a socket...); size in bytes, modification time in ns, and all of the permission bits."""

    mode: int | None
    size: int
    modified: int
    permissions: int
    is_folder: bool


class CheckoutFiles:
    """The files under one folder. Paths are relative, `/`-separated, in surrogate-escape form."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self._top = os.open(top, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        self._kept: tuple[bytes, int] = (b"", os.dup(self._top))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._top)
        os.close(self._kept[1])

    def state(self, path: str) -> State | None:
        """What stands at a path, None when nothing does (or a link or file is on the way)."""
        try:
            with self._parent(path) as (folder, name):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _state(status)

    def read(self, path: str) -> bytes:
        """A regular file's content, or a link's target. Raises OSError, also for other kinds."""
        with self._parent(path) as (folder, name):
            try:
                opened = os.open(name, READ_FLAGS, dir_fd=folder)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                return os.readlink(name, dir_fd=folder)
            with open(opened, "rb") as stream:
                if not stat.S_ISREG(os.fstat(opened).st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                return stream.read()

    def names(self, path: str) -> list[str]:
        """The names in a folder. Raises OSError when there is no folder at the path."""
        with self._parent(path + "/x") as (folder, _):
            return os.listdir(folder)

    def stage(self, path: str, content: bytes, permissions: int) -> str:
        """Write a content beside `path`, or beside its nearest folder that exists, under a name of
        its own; give that path. `permissions` 0o666 and 0o777 are cut down by the umask."""
        folder = self._nearest_folder(path)
        staged = f"{folder}/" * bool(folder) + f".greenroom-{secrets.token_hex(8)}"
        with self._parent(staged) as (parent, name):
            try:
                with open(os.open(name, WRITE_FLAGS, permissions, dir_fd=parent), "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    _keep_owner(stream.fileno(), parent)
                    if permissions not in (0o666, 0o777):
                        os.fchmod(stream.fileno(), permissions)
                    os.fsync(stream.fileno())
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=parent)
                raise
        return staged

    def _nearest_folder(self, path: str) -> str:
        folder = path.rpartition("/")[0]
        while folder and not self._is_folder(folder):
            folder = folder.rpartition("/")[0]
        return folder

    def remove_staged(self, paths: Iterable[str]) -> None:
        """Remove what a process that was killed left of staging files at or near these paths."""
        for folder in {self._nearest_folder(path) for path in paths}:
            names = self.names(folder) if folder else os.listdir(self._top)
            for name in filter(STAGED.fullmatch, names):
                self.remove(f"{folder}/" * bool(folder) + name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the checkout against other processes that write into it by this class. Raises
        UsageError when one does."""
        try:
            fcntl.flock(self._top, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"Another process is just applying a patch to {self.top}.", "Try again."
            ) from None
        yield

    def place(self, staged: str, path: str) -> None:
        """Move a staged file to its path at once, over a file or link there."""
        with self._parent(staged) as (source, name), self._parent(path) as (target, new):
            os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)

    def make_folder(self, path: str) -> bool:
        """Make one folder; whether it was not there before."""
        with self._parent(path) as (parent, name):
            try:
                os.mkdir(name, dir_fd=parent)
            except FileExistsError:
                return False
            made = os.open(name, FOLDER_FLAGS, dir_fd=parent)
            try:
                _keep_owner(made, parent)
            finally:
                os.close(made)
        return True

    def remove(self, path: str) -> None:
        """Remove a file or link."""
        with self._parent(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def check_removable(self, path: str) -> None:
        """Raise PermissionError when the folder above a path may not be written."""
        with self._parent(path) as (folder, _):
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
                raise PermissionError(errno.EACCES, "a folder in it is not writable")

    def remove_folder(self, path: str) -> bool:
        """Remove a folder when there is one and it is empty; whether it was so."""
        try:
            with self._parent(path) as (folder, name):
                os.rmdir(name, dir_fd=folder)
        except OSError as error:
            if error.errno in NOT_REMOVED:
                return False
            raise
        self._forget()
        return True

    def _is_folder(self, path: str) -> bool:
        found = self.state(path)
        return found is not None and found.is_folder

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, bytes]]:
        """The open folder above a path, and the last name. The folder used last is kept open, for
        paths come sorted."""
        above, _, name = encode_path(path).rpartition(b"/")
        kept, folder = self._kept
        if kept != above:
            folder = self._open(above)
            self._forget()
            os.close(self._kept[1])
            self._kept = (above, folder)
        # A copy: another path may be opened while this one is in use.
        opened = os.dup(folder)
        try:
            yield opened, name
        finally:
            os.close(opened)

    def _forget(self) -> None:
        if self._kept[0]:
            os.close(self._kept[1])
            self._kept = (b"", os.dup(self._top))

    def _open(self, folder: bytes) -> int:
        opened = os.dup(self._top)
        for name in folder.split(b"/") if folder else ():
            try:
                deeper = os.open(name, FOLDER_FLAGS, dir_fd=opened)
            finally:
                os.close(opened)
            opened = deeper
        return opened


def _state(status: os.stat_result) -> State:
    kind = stat.S_IFMT(status.st_mode)
    mode = None
    if kind == stat.S_IFLNK:
        mode = SYMLINK
    elif kind == stat.S_IFREG:
        mode = EXECUTABLE if status.st_mode & stat.S_IXUSR else FILE
    permissions = stat.S_IMODE(status.st_mode)
    return State(mode, status.st_size, status.st_mtime_ns, permissions, kind == stat.S_IFDIR)


def _keep_owner(opened: int, parent: int) -> None:
    """What root writes into a user's checkout belongs to whom its folder belongs."""
    if os.geteuid() == 0:
        above = os.fstat(parent)
        os.fchown(opened, above.st_uid, above.st_gid)
