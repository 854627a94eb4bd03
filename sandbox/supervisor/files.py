"""Single files of the workspace: read, write, remove, list, search. All run under the sandbox's
uid, so that its permissions hold and nothing of root's can be reached."""

from __future__ import annotations

import errno
import os
import stat
import sys

from sandbox.supervisor import paths
from sandbox.supervisor.light import Ignoring, dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from typing import Any

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}
CHUNK = 256 * 1024
SNIFFED = 8192
SEARCHED = 16 << 20  # larger files are passed over: a sparse one could have any size
MAX_LISTED = 4 << 20  # characters of the paths in a listing
SKIPPED = frozenset(
    (".git", "__pycache__", "node_modules", ".pytest_cache", ".mypy_cache", ".ruff_cache")
)


def read_chunks(path: str, limit: int) -> Iterator[bytes]:
    """A regular file's content, in pieces. A file over `limit` bytes is refused."""
    with paths.ParentOf(path) as (folder, name):
        fd = paths.open_regular(folder, name, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        if size > limit:
            raise OSError(errno.EFBIG, f"has {size:,} bytes, more than {limit:,}")
        left = limit
        while left:
            chunk = os.read(fd, min(CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk
    finally:
        os.close(fd)


def write(path: str, content: bytes, executable: bool | None) -> None:
    """Write a whole file; its folders are made. `executable` None keeps the mode that it has."""
    with paths.ParentOf(path, create=True) as (folder, name):
        if name == ".":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        fd = paths.open_regular(folder, name, os.O_WRONLY | os.O_CREAT)
    try:
        before = os.fstat(fd)
        os.ftruncate(fd, 0)
        paths.write_all(fd, content)
        if executable is not None:
            os.fchmod(fd, 0o755 if executable else 0o644)
        if before.st_size:
            paths.advance_time(fd, before)
    finally:
        os.close(fd)


def remove(path: str) -> None:
    """Remove a file, a link or a whole folder."""
    with paths.ParentOf(path, follow=False) as (folder, name):
        if name == ".":
            raise OSError(errno.EBUSY, "is the workspace itself")
        paths.remove_tree(folder, name)


def listing(path: str, depth: int, limit: int) -> dict[str, Any]:
    """What is in a folder, to a depth, sorted: at most `limit` entries, and whether there were
    more."""
    found = _Listing(limit)
    with paths.ParentOf(path) as (folder, name):
        top = os.open(name, paths.FOLDER, dir_fd=folder)
    base = "/".join(paths.parts_of(path))
    found.look_into(top, base + "/" if base else "", min(depth, paths.MAX_DEPTH))
    return {"entries": found.entries, "truncated": found.full}


class _Listing:
    """Entries as they are found, until there are `limit` of them or MAX_LISTED characters."""

    def __init__(self, limit: int) -> None:
        self.entries: list[tuple[str, str, int]] = []
        self.full = False
        self._limit = limit
        self._left = MAX_LISTED

    def look_into(self, fd: int, prefix: str, depth: int) -> None:
        try:
            with os.scandir(fd) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
            for entry in entries:
                if self.full:
                    return
                # What has vanished is not there; of a closed folder the name is all there is.
                with Ignoring(FileNotFoundError, PermissionError):
                    state = entry.stat(follow_symlinks=False)
                    kind = KINDS.get(stat.S_IFMT(state.st_mode), "device")
                    self._add(prefix + entry.name, kind, state.st_size)
                    if kind == "folder" and depth > 1 and not self.full:
                        below = os.open(entry.name, paths.FOLDER, dir_fd=fd)
                        self.look_into(below, f"{prefix}{entry.name}/", depth - 1)
        finally:
            os.close(fd)

    def _add(self, path: str, kind: str, size: int) -> None:
        self._left -= len(path)
        self.full = len(self.entries) >= self._limit or self._left < 0
        if not self.full:
            self.entries.append((path, kind, size))


def search(request: dict[str, Any]) -> int:
    """Print lines that match as JSON, one [path, number, line] each. Runs as a command of its own,
    so that a slow pattern can be stopped."""
    import re  # noqa: PLC0415 - slow to load, and needed by searches only, as those below
    import warnings  # noqa: PLC0415

    warnings.simplefilter("ignore")  # those of a pattern would be among the lines
    pattern = request["pattern"]
    expression = re.compile(os.fsencode(re.escape(pattern) if request["literal"] else pattern))
    literal = os.fsencode(pattern) if request["literal"] else b""
    accepted = request["glob"]
    left = request["limit"] + 1  # one more tells that there are more
    try:
        top = "/".join(paths.parts_of(request["path"]))
        os.stat(os.path.join(paths.ROOT, top))
    except OSError as error:
        print(error.strerror, flush=True)
        return 2
    for path in _text_files(top):
        if accepted and not _globbed(path, accepted):
            continue
        with Ignoring(OSError):
            left = _search_file(path, expression, literal, left, request["line_bytes"])
            if not left:
                break
    sys.stdout.flush()
    return 0


def _globbed(path: str, pattern: str) -> bool:
    import fnmatch  # noqa: PLC0415

    return fnmatch.fnmatch(path if "/" in pattern else os.path.basename(path), pattern)


def _text_files(top: str) -> Iterator[str]:
    """Paths of regular files below `top`, relative to the workspace; `top` may be a file."""
    os.chdir(paths.ROOT)
    if top and not os.path.isdir(top):
        yield top
        return
    for folder, folders, names in os.walk(top or "."):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        if folder.count("/") >= paths.MAX_DEPTH:
            folders.clear()
        for name in sorted(names):
            path = os.path.join(folder, name)
            with Ignoring(OSError):  # one that is gone, or closed to the sandbox
                if stat.S_ISREG(os.lstat(path).st_mode):
                    yield os.path.normpath(path)


def _search_file(
    path: str, expression: re.Pattern[bytes], literal: bytes, left: int, line_bytes: int
) -> int:
    fd = os.open(path, os.O_RDONLY | paths.PLAIN)
    with open(fd, "rb") as stream:
        if os.fstat(fd).st_size > SEARCHED:
            return left
        content = stream.read(SEARCHED)
    if b"\0" in content[:SNIFFED]:
        return left
    if literal and literal not in content:
        return left
    # Line by line only: an anchored pattern may match a line and nothing in the whole content.
    for number, line in enumerate(content.split(b"\n"), 1):
        bare = line[:-1] if line.endswith(b"\r") else line
        if expression.search(bare):
            print(dumps([path, number, os.fsdecode(bare[:line_bytes])]))
            left -= 1
            if not left:
                break
    return left
