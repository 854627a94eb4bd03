"""File records as they arrive, written below a folder: the base, support files, patches."""

from __future__ import annotations

import errno
import os
import stat

from sandbox import protocol
from sandbox.supervisor import paths
from sandbox.supervisor.light import Ignoring
from sandbox.supervisor.tree import CREATE, Tree


class Loader:
    """Fills an empty folder. Nothing else runs meanwhile, so plain paths are safe. All files get
    the same time, `moment_ns`: build tools then see nothing as out of date."""

    def __init__(self, root: str, moment_ns: int, tree: Tree | None = None) -> None:
        os.makedirs(root, exist_ok=True)
        self._root = root + "/"
        self._moment = (moment_ns, moment_ns)
        self._tree = tree
        self._records = protocol.RecordDecoder()
        self._folders = {""}
        self._fd = -1

    def feed(self, data: bytes) -> None:
        for kind, raw, identity, size, chunk, offset in self._records.feed(data):
            path = os.fsdecode(raw)
            if offset == 0:
                self._make_folder(path.rpartition("/")[0])
                if self._tree is not None:
                    self._tree.expect(path, identity)
                if kind == protocol.SYMLINK:
                    os.symlink(os.fsdecode(chunk), self._root + path)
                    continue
                mode = 0o755 if kind == protocol.EXECUTABLE else 0o644
                self._fd = os.open(self._root + path, CREATE, mode)
            paths.write_all(self._fd, chunk)
            if offset + len(chunk) == size:
                os.utime(self._fd, ns=self._moment)
                os.close(self._fd)

    def finish(self) -> None:
        if not self._records.idle:
            raise protocol.ProtocolError("the records ended early")

    def _make_folder(self, folder: str) -> None:
        if folder in self._folders:
            return
        self._make_folder(folder.rpartition("/")[0])
        os.mkdir(self._root + folder, 0o755)
        self._folders.add(folder)


class Applier:
    """Applies a patch's records to the workspace, wherever commands may have put links."""

    def __init__(self) -> None:
        self._records = protocol.RecordDecoder()
        self._fd = -1
        self._before: os.stat_result | None = None

    def feed(self, data: bytes) -> None:
        for kind, raw, _, size, chunk, offset in self._records.feed(data):
            path = os.fsdecode(raw)
            try:
                if kind == protocol.DELETED:
                    _delete(path)
                    continue
                if offset == 0:
                    self._begin(path, 0o755 if kind == protocol.EXECUTABLE else 0o644)
                paths.write_all(self._fd, chunk)
                if offset + len(chunk) == size:
                    self._end()
            except OSError as error:
                self._close()
                raise OSError(error.errno, f"{path}: {error.strerror}") from error

    def finish(self) -> None:
        if not self._records.idle:
            raise protocol.ProtocolError("the records ended early")

    def _begin(self, path: str, mode: int) -> None:
        with paths.ParentOf(path, create=True, follow=False, through=False) as (folder, name):
            self._before = None
            with Ignoring(FileNotFoundError):
                self._before = os.lstat(name, dir_fd=folder)
                if stat.S_ISDIR(self._before.st_mode):
                    os.rmdir(name, dir_fd=folder)
                else:
                    os.unlink(name, dir_fd=folder)
            self._fd = os.open(name, CREATE, mode, dir_fd=folder)

    def _end(self) -> None:
        if self._before is not None:
            paths.advance_time(self._fd, self._before)
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _delete(path: str) -> None:
    """Delete a file and the folders that it leaves empty; what is not there stays so."""
    try:
        with paths.ParentOf(path, follow=False, through=False) as (folder, name):
            os.unlink(name, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    above = path.rpartition("/")[0]
    while above:
        with paths.ParentOf(above, follow=False, through=False) as (folder, name):
            try:
                os.rmdir(name, dir_fd=folder)
            except OSError as error:
                if error.errno == errno.ENOTEMPTY:
                    return
                raise
        above = above.rpartition("/")[0]
