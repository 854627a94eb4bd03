"""The workspace as a tree: filled from records, remembered as prepared, compared, put back.

A path counts as unchanged when its content is what was prepared. File times alone would not do: a
command can write through a shared mapping, which leaves a file's times as they were.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time

from sandbox import protocol
from sandbox.supervisor import files, paths
from sandbox.supervisor.light import Ignoring
from sandbox.supervisor.processes import Account

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from typing import Any

# All paths that are new to the workspace together, as JSON: they take memory of this process.
MAX_NEW_TEXT = 16 << 20
ESCAPED = 12  # the most that JSON makes of a character
COARSE_CLOCK = 5  # CLOCK_REALTIME_COARSE
NO_TIME = (-1, -1, -1)  # in a stamp that equals no file's
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | paths.PLAIN


class Prepared:
    """What is known of one path: its stamp (size, modification and change time in ns, inode,
    mode), and the git id of its content (None: not known)."""

    __slots__ = ("identity", "stamp")

    def __init__(self, stamp: tuple[int, ...], identity: bytes | None) -> None:
        self.stamp = stamp
        self.identity = identity


class TooMany(OSError):
    """More new paths than are looked at, which are so many."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.EFBIG, "the names in the workspace are too many or too long")
        self.number = number


class Tree:
    """The workspace's files as they were prepared. All work runs under the sandbox's account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._identities: dict[str, bytes] = {}
        self._before: dict[str, tuple[int, ...]] = {}
        self._latest = 0
        self.prepared: dict[str, Prepared] = {}
        self.suspect = False  # a command may have written since contents were compared

    def remember(self) -> None:
        """Take the workspace, just filled with the base, as prepared."""
        current = self._walk().found
        identities = self._identities
        self.prepared = {
            path: Prepared(stamp, identities.get(path)) for path, stamp in current.items()
        }
        self._identities = {}
        self._note_time()

    def expect_writes(self) -> None:
        """See, before anything may write, that a write gets another time than what is prepared. The
        kernel stamps files by a clock that ticks every few milliseconds."""
        while time.clock_gettime_ns(COARSE_CLOCK) <= self._latest:
            time.sleep(0.0005)

    def before_rebuild(self) -> None:
        """Note the state from which a rebuild starts."""
        self._before = self._walk(MAX_NEW_TEXT).found

    def after_rebuild(self) -> dict[str, list[str]]:
        """Take what the rebuild made or changed as prepared; the paths of it, and of what is gone.
        What had been changed before the rebuild stays a change."""
        before, self._before = self._before, {}
        current = self._walk(MAX_NEW_TEXT).found
        made, gone = [], []
        for path in set(before) | set(current):
            if before.get(path) == current.get(path) or self._dirty(path, before.get(path)):
                continue
            self.prepared.pop(path, None)
            if path in current:
                self.prepared[path] = Prepared(current[path], None)
                made.append(path)
            else:
                gone.append(path)
        self._note_time()
        return {"made": sorted(made), "gone": sorted(gone)}

    def identify(self, names: Iterable[str]) -> None:
        """Remember the contents of prepared files, not only their times."""
        with self._account.acting():
            for path in names:
                known = self.prepared.get(path)
                if known is not None:
                    with Ignoring(OSError):
                        known.identity = content_identity(path, known.stamp, 20)

    def changes(self, limit: int) -> dict[str, Any]:
        """What differs from the prepared tree: [path, kind, size, executable] of each changed one,
        deleted paths, and [path, reason] of what was left out."""
        try:
            walk = self._walk(MAX_NEW_TEXT)
        except TooMany as found:
            return {"too_many": found.number}
        current, notes = walk.found, walk.notes
        changed = []
        with self._account.acting():
            for path, stamp in current.items():
                try:
                    if not self._differs(path, stamp):
                        continue
                except OSError as error:
                    notes.append((path, error.strerror or "cannot be read"))
                    continue
                kind = files.KINDS[stat.S_IFMT(stamp[4])]
                changed.append((path, kind, stamp[0], bool(stamp[4] & 0o100)))
                if len(changed) > limit:
                    return {"too_many": limit}
        # What lies in a folder that could not be read is not gone.
        gone = (path for path in self.prepared if path not in current)
        deleted = [path for path in gone if walk.closed.isdisjoint(_folders_of(path))]
        return {"changed": changed, "deleted": deleted, "notes": notes}

    def fetch(self, names: Iterable[str], limit: int) -> Iterator[bytes]:
        """Records of regular files, which together have at most `limit` bytes; a file that cannot
        be read any more comes as a deletion."""
        left = limit
        for path in names:
            kind, content = protocol.DELETED, b""
            with self._account.acting(), Ignoring(OSError):
                with paths.ParentOf(path, follow=False, through=False) as (folder, name):
                    fd = paths.open_regular(folder, name, os.O_RDONLY)
                with open(fd, "rb", 0):
                    executable = os.fstat(fd).st_mode & 0o100
                    content = read_up_to(fd, left + 1)
                    kind = protocol.EXECUTABLE if executable else protocol.FILE
            left -= len(content)
            if left < 0:
                raise OSError(errno.EFBIG, "the changed files are too large")
            yield protocol.encode_record(kind, os.fsencode(path), content)

    def refresh(self, stamps: dict[str, tuple[int, ...]]) -> None:
        """Take new stamps of contents that were put back as prepared."""
        for path, stamp in stamps.items():
            known = self.prepared.get(path)
            if known is not None:
                known.stamp = stamp
        self.suspect = False
        self._note_time()

    def expect(self, path: str, identity: bytes) -> None:
        """Note the git id of a file that is being loaded."""
        self._identities[path] = identity

    def _differs(self, path: str, stamp: tuple[int, ...]) -> bool:
        known = self.prepared.get(path)
        if known is None:
            return True
        same = stamp == known.stamp
        if same and (not self.suspect or known.identity is None):
            return False
        if known.identity is None or _shape(stamp) != _shape(known.stamp):
            return True
        if content_identity(path, stamp, len(known.identity)) != known.identity:
            # A write through a mapping may have left the stamp: from now on it tells nothing.
            known.stamp = (stamp[0], *NO_TIME, stamp[4])
            return True
        known.stamp = stamp
        return False

    def _dirty(self, path: str, stamp: tuple[int, ...] | None) -> bool:
        known = self.prepared.get(path)
        return stamp != (known.stamp if known else None)

    def _note_time(self) -> None:
        self._latest = max((known.stamp[2] for known in self.prepared.values()), default=0)

    def _walk(self, room: int = sys.maxsize) -> Walk:
        """Look at the whole workspace. Raises TooMany, with their number, when the new paths are
        longer together than `room`."""
        walk = Walk(self.prepared, room)
        with self._account.acting():
            if os.stat(paths.ROOT).st_mode & 0o700 != 0o700:
                os.chmod(paths.ROOT, 0o755)  # noqa: S103 - as it is mounted
            walk.folder(os.open(paths.ROOT, paths.FOLDER), "", 0)
        return walk


class Walk:
    """One look at a whole tree: `found` gives the stamps of files and links, `notes` each path
    that was left out and why, `closed` the folders that were not looked into."""

    def __init__(self, known: Container[str], room: int) -> None:
        self.found: dict[str, tuple[int, ...]] = {}
        self.notes: list[tuple[str, str]] = []
        self.closed: set[str] = set()
        self._known = known
        self._room = room
        self._new = 0

    def folder(self, fd: int, prefix: str, depth: int) -> None:
        """Take what is in an open folder, which is closed, and below it."""
        folders: list[str] = []
        try:
            with os.scandir(fd) as scan:
                for entry in scan:
                    with Ignoring(FileNotFoundError):
                        self._take(entry, prefix + entry.name, folders)
            for name in folders:
                self._enter(fd, name, prefix + name, depth)
        except PermissionError as error:  # a folder that may be listed and not entered
            self._shut(prefix[:-1], error.strerror)
        finally:
            os.close(fd)

    def _take(self, entry: os.DirEntry[str], path: str, folders: list[str]) -> None:
        if entry.name == ".git":
            if entry.name != path:
                self._note(path, "is a repository of its own inside the workspace")
            return
        state = entry.stat(follow_symlinks=False)
        kind = stat.S_IFMT(state.st_mode)
        if kind == stat.S_IFDIR:
            folders.append(entry.name)
        elif kind in (stat.S_IFREG, stat.S_IFLNK):
            self.found[path] = stamp_of(state)
            if path not in self._known:
                self._count(path)
        else:
            self._note(path, f"is a {files.KINDS.get(kind, 'device')}")

    def _enter(self, fd: int, name: str, path: str, depth: int) -> None:
        if depth >= paths.MAX_DEPTH or len(path) >= paths.MAX_PATH:
            self._shut(path, "is too deep")
            return
        try:
            below = os.open(name, paths.FOLDER, dir_fd=fd)
        except OSError as error:
            self._shut(path, error.strerror)
            return
        self.folder(below, path + "/", depth + 1)

    def _shut(self, path: str, reason: str | None) -> None:
        self.closed.add(path)
        self._note(path, reason or "cannot be read")

    def _note(self, path: str, reason: str) -> None:
        self.notes.append((path, reason))
        self._count(path)

    def _count(self, path: str) -> None:
        self._new += 1
        self._room -= len(path) if path.isascii() else len(path) * ESCAPED
        if self._room < 0:
            raise TooMany(self._new)


def stamp_of(state: os.stat_result) -> tuple[int, ...]:
    return (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_mode)


def _folders_of(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _shape(stamp: tuple[int, ...]) -> tuple[int, int, bool]:
    """What makes two files differ whatever their contents: size, kind, the executable bit."""
    return stamp[0], stat.S_IFMT(stamp[4]), bool(stamp[4] & 0o100)


def content_identity(path: str, stamp: tuple[int, ...], length: int) -> bytes:
    """The git blob id (SHA-1 or SHA-256 by `length`) of a file's content or a link's target."""
    import hashlib  # noqa: PLC0415 - slow to load, and seldom needed

    digest = hashlib.sha1() if length == 20 else hashlib.sha256()  # noqa: S324 - git's own ids
    with paths.ParentOf(path, follow=False, through=False) as (folder, name):
        if stat.S_ISLNK(stamp[4]):
            content = os.fsencode(os.readlink(name, dir_fd=folder))
            digest.update(b"blob %d\0" % len(content) + content)
            return digest.digest()
        fd = paths.open_regular(folder, name, os.O_RDONLY)
    try:
        digest.update(b"blob %d\0" % stamp[0])
        while True:
            chunk = os.read(fd, 1 << 20)
            if not chunk:
                return digest.digest()
            digest.update(chunk)
    finally:
        os.close(fd)


def read_up_to(fd: int, limit: int) -> bytes:
    """A file's content up to `limit` bytes."""
    chunks = []
    while limit > 0:
        chunk = os.read(fd, min(limit, 1 << 20))
        if not chunk:
            break
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)
