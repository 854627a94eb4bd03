"""Paths inside the workspace, resolved without ever leaving it.

PID 1 may open its own /proc files under any uid, so a link planted by a command must not lead
there: every component is opened without following, and links are followed by hand, inside only.
"""

from __future__ import annotations

import errno
import os
import stat

ROOT = "/workspace"  # where the first request names no other folder
# A workspace that is all of the file system does not hold these: PID 1 may read more there.
KERNEL_FOLDERS = ("proc", "sys", "dev")
MAX_LINKS = 40
MAX_PARTS = 1024
MAX_DEPTH = 256  # of folders that are looked into
MAX_PATH = 4096  # bytes, as the kernel has it
FAR_FUTURE = 1 << 40  # in seconds
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class OutsideError(OSError):
    """The path leads out of the workspace."""

    def __init__(self) -> None:
        super().__init__(errno.EXDEV, "leads out of the workspace")


def parts_of(path: str) -> list[str]:
    """The names in a path given relative to the workspace, or absolute below it."""
    try:
        if b"\0" in os.fsencode(path):
            raise ValueError
    except ValueError:  # also of text that stands for no bytes
        raise OSError(errno.EINVAL, "is no file name") from None
    if path == ROOT or path.startswith(ROOT + "/"):
        path = path[len(ROOT) :]
    elif path.startswith("/"):
        raise OutsideError()
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if len(parts) > MAX_PARTS or len(os.fsencode(path)) > MAX_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    return parts


class ParentOf:
    """The folder that holds `path`, open, and the name in it ("." for the workspace itself).

    Links on the way (with `through`) and the last one (with `follow`) are followed while they stay
    inside. With `create`, missing folders are made.
    """

    def __init__(
        self, path: str, create: bool = False, follow: bool = True, through: bool = True
    ) -> None:
        self._path = path
        self._options = create, follow, through
        self._stack: list[int] = []

    def __enter__(self) -> tuple[int, str]:
        self._stack.append(os.open(ROOT, FOLDER))
        try:
            return _walk_to(self._stack, self._path, *self._options)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for fd in self._stack:
            os.close(fd)


def _walk_to(
    stack: list[int], path: str, create: bool, follow: bool, through: bool
) -> tuple[int, str]:
    """Open the folders on the way, which are put on `stack`; the last one and the name in it."""
    waiting = parts_of(path)[::-1]
    links = 0
    while waiting:
        name = waiting.pop()
        if name == "..":
            if len(stack) == 1:
                raise OutsideError()
            os.close(stack.pop())
            continue
        target = _link_target(stack[-1], name) if (through if waiting else follow) else None
        if target is not None:
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.startswith("/"):
                while len(stack) > 1:
                    os.close(stack.pop())
            waiting += parts_of(target)[::-1]
            continue
        if ROOT == "/" and len(stack) == 1 and name in KERNEL_FOLDERS:
            raise OutsideError()
        if not waiting:
            return stack[-1], name
        stack.append(_enter(stack[-1], name, create))
    return stack[-1], "."


def _link_target(folder: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _enter(folder: int, name: str, create: bool) -> int:
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    os.mkdir(name, 0o755, dir_fd=folder)
    return os.open(name, FOLDER, dir_fd=folder)


def open_regular(folder: int, name: str, flags: int, mode: int = 0o644) -> int:
    """Open a regular file in a folder; anything else is refused without blocking on it."""
    fd = os.open(name, flags | PLAIN, mode, dir_fd=folder)
    try:
        found = os.fstat(fd).st_mode
        if stat.S_ISDIR(found):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found):
            raise OSError(errno.ENODEV, "is not a regular file")
    except OSError:
        os.close(fd)
        raise
    return fd


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`; a full file system raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def empty(folder: int, levels: int = 32) -> None:
    """Remove everything in an open folder, as `remove_tree` does. So many levels have a descriptor
    each, which takes half as many calls."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    for name in names:
        if not levels:
            remove_tree(folder, name)
            continue
        below = _open_to_empty(folder, name)
        try:
            empty(below, levels - 1)
        finally:
            os.close(below)
        os.rmdir(name, dir_fd=folder)


def remove_tree(folder: int, name: str) -> None:
    """Remove a file or a whole folder, however deep and with whatever modes, without following a
    link. Nothing may be moving folders about meanwhile."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    # Names on the way down; going up is by "..", so that depth costs no descriptors.
    names = [name]
    current = _open_to_empty(folder, name)
    try:
        while names:
            deeper = None
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        deeper = entry.name
                        break
                    os.unlink(entry.name, dir_fd=current)
            if deeper is not None:
                below = _open_to_empty(current, deeper)
                os.close(current)
                current = below
                names.append(deeper)
                continue
            above = os.open("..", FOLDER, dir_fd=current)
            os.close(current)
            current = above
            os.rmdir(names.pop(), dir_fd=current)
    finally:
        os.close(current)


def _open_to_empty(folder: int, name: str) -> int:
    """Open a folder in `folder` after making it one that can be emptied."""
    try:
        fd = os.open(name, FOLDER, dir_fd=folder)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=folder)
        return os.open(name, FOLDER, dir_fd=folder)
    if os.fstat(fd).st_mode & 0o700 != 0o700:
        os.fchmod(fd, 0o700)
    return fd


def advance_time(fd: int, before: os.stat_result) -> None:
    """See that a rewritten file does not look like the version before. Bytecode is matched by its
    source's size and time in whole seconds."""
    later = int(before.st_mtime) + 1
    # A command may set any time; one that far off is another than now's in any case.
    if int(os.fstat(fd).st_mtime) < later < FAR_FUTURE:
        os.utime(fd, ns=(later * 10**9, later * 10**9))
