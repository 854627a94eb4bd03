"""The prepared state of every writable mount, packed into one root-only file in memory, and the
way back to it."""

from __future__ import annotations

import os
import stat

from sandbox.supervisor import paths
from sandbox.supervisor.light import Ignoring
from sandbox.supervisor.processes import Account, remove_ipc_objects
from sandbox.supervisor.tree import CREATE, stamp_of

COMMON_MODES = (0o644, 0o755)  # what opening gives with the usual umask
COMMON_FOLDER = 0o755
CHANGEABLE = ("user.", "system.posix_acl_")  # extended attributes that need no privilege
STORE = "/run/greenroom/pristine"
MOUNTS = (paths.ROOT, "/home/sandbox", "/tmp", "/dev/shm")  # noqa: S108 - the sandbox's own


class Pristine:
    """A copy of all writable mounts, made once, from which they can be put back."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._folders: list[tuple[str, int]] = []
        self._links: list[tuple[str, str]] = []
        self._files: list[tuple[str, int, int, int, int]] = []  # path, mode, mtime, offset, size
        self._pack = os.open(STORE, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.unlink(STORE)
        with account.acting():
            end = 0
            for mount in MOUNTS:
                end = self._pack_mount(mount, end)

    def restore(self) -> dict[str, tuple[int, ...]]:
        """Wipe all mounts and write them again: the new stamps of the workspace's files."""
        stamps = {}
        with self._account.acting():
            remove_ipc_objects()
            for mount in MOUNTS:
                as_mounted(mount)
                empty(mount)
            for path, mode in self._folders:
                os.mkdir(path, mode if mode == COMMON_FOLDER else 0o700)
            for path, target in self._links:
                os.symlink(target, path)
                stamps[path] = stamp_of(os.lstat(path))
            for path, mode, moment, offset, size in self._files:
                fd = os.open(path, CREATE, mode)
                try:
                    copy_range(self._pack, fd, offset, size)
                    if mode not in COMMON_MODES:
                        os.fchmod(fd, mode)
                    os.utime(fd, ns=(moment, moment))
                    stamps[path] = stamp_of(os.fstat(fd))
                finally:
                    os.close(fd)
            for path, mode in reversed(self._folders):
                if mode != COMMON_FOLDER:
                    os.chmod(path, mode)
        top = len(paths.ROOT) + 1
        git = paths.ROOT + "/.git/"
        return {
            path[top:]: stamp
            for path, stamp in stamps.items()
            if path.startswith(paths.ROOT + "/") and not path.startswith(git)
        }

    def _pack_mount(self, mount: str, end: int) -> int:
        for folder, folders, names in os.walk(mount):
            for name in folders + names:
                path = os.path.join(folder, name)
                state = os.lstat(path)
                mode = stat.S_IMODE(state.st_mode)
                if stat.S_ISDIR(state.st_mode):
                    self._folders.append((path, mode))
                elif stat.S_ISLNK(state.st_mode):
                    self._links.append((path, os.readlink(path)))
                elif stat.S_ISREG(state.st_mode):
                    with open(_readable(path, mode), "rb", 0) as source:
                        copy_range(source.fileno(), self._pack, 0, state.st_size)
                    moment = state.st_mtime_ns
                    self._files.append((path, mode, moment, end, state.st_size))
                    end += state.st_size
        return end


def _readable(path: str, mode: int) -> int:
    """Open a file of the sandbox's own, also one that it made unreadable."""
    with Ignoring(PermissionError):
        return os.open(path, os.O_RDONLY | paths.PLAIN)
    os.chmod(path, mode | 0o400)
    try:
        return os.open(path, os.O_RDONLY | paths.PLAIN)
    finally:
        os.chmod(path, mode)


def copy_range(source: int, target: int, offset: int, size: int) -> None:
    """Copy `size` bytes of `source` from `offset` to where `target` stands."""
    end = offset + size
    while offset < end:
        done = os.sendfile(target, source, offset, end - offset)
        if not done:
            raise OSError("a file became shorter while it was copied")
        offset += done


def as_mounted(folder: str) -> None:
    """Undo what a command may have set on a mount's own folder: its mode, and extended attributes.
    Access lists are among those; a default one would hold for all that is written again."""
    with Ignoring(PermissionError):  # root's own cannot have been changed
        os.chmod(folder, 0o755)  # noqa: S103 - the mode it is mounted with
    for name in os.listxattr(folder):
        if name.startswith(CHANGEABLE):
            os.removexattr(folder, name)


def empty(folder: str) -> None:
    """Remove everything in a folder."""
    fd = os.open(folder, paths.FOLDER)
    try:
        paths.empty(fd)
    finally:
        os.close(fd)
