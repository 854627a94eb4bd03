"""The way out of a test process: JSON lines on a pipe that the sandbox opened for this command.

Loading this module claims the pipe for the process that loads it: the descriptor moves where
tests seldom close it and no child inherits it, and every trace of the harness leaves the
environment, so that nested sessions and subprocesses of the tests neither write nor load a plugin.
Every function here may run while a test has replaced parts of the standard library: what is
needed later is held from the start.
"""

from __future__ import annotations

import ast
import fcntl
import io
import json
import os
import select
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

VERSION = 1
MESSAGE_LIMIT = 2_000
DETAIL_LIMIT = 16_000
DETAIL_TOTAL = 4_000_000  # over a whole session; later failures keep their message only
FRAME_LIMIT = 30
ONLY_PREFIX = "GREENROOM_ONLY_"
_LOWEST_DESCRIPTOR = 240

if TYPE_CHECKING:  # a subscript that Python 3.7 could not evaluate
    RawFrame = tuple[str, int, str]  # file name, line, function ("" when unknown)


def cut(text: str, limit: int) -> str:
    """The text, or its head and tail with a line between them that says what is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    if half <= 0:
        return ""
    return f"{text[:half]}\n... {len(text) - 2 * half} characters cut ...\n{text[-half:]}"


class Channel:
    """Writes events; silent in a forked child, and once the pipe is gone."""

    def __init__(self, descriptor: int) -> None:
        # Held here because tests replace os.write, open and the like, even in loaded modules.
        self._write, self._fstat, self._getpid = os.write, os.fstat, os.getpid
        self._select = select.select
        self._encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
        self._pid = os.getpid()
        self._descriptors = [
            fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
            for lowest in (_LOWEST_DESCRIPTOR, 3)
        ]
        status = os.fstat(descriptor)
        self._identity = (status.st_dev, status.st_ino)
        os.close(descriptor)
        self._detail_left = DETAIL_TOTAL

    def emit(self, kind: str, **fields: Any) -> None:
        """Send one event now; what cannot be sent is dropped, for the run must not notice."""
        if self._getpid() != self._pid:
            return
        descriptor = self._living()
        if descriptor is None:
            return
        fields.update(e=kind, s=self._pid)
        data = self._encode(fields).encode("ascii") + b"\n"
        try:
            while data:
                try:
                    data = data[self._write(descriptor, data) :]
                except BlockingIOError:
                    self._select([], [descriptor], [])
        except OSError:
            self._descriptors = []

    def detail(self, text: str) -> str:
        """The text, bounded by itself and by what the session has left."""
        text = cut(text, max(0, min(DETAIL_LIMIT, self._detail_left)))
        self._detail_left -= len(text)
        return text

    def _living(self) -> int | None:
        # A test may have closed the descriptor, and the number may be a file of its own by now.
        for descriptor in self._descriptors:
            try:
                status = self._fstat(descriptor)
            except OSError:
                continue
            if (status.st_dev, status.st_ino) == self._identity:
                return descriptor
        return None


class Sources:
    """Workspace-relative paths, source lines and enclosing functions of the workspace's files."""

    _OUTSIDE = frozenset({"site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox"})

    def __init__(self, root: str) -> None:
        self._open, self._realpath, self._join = io.open, os.path.realpath, os.path.join
        self.root = os.path.realpath(root)
        self._start = os.getcwd()
        self._relative: dict[str, str | None] = {}
        self._lines: dict[str, list[str]] = {}

    def relative(self, filename: str) -> str | None:
        """The path below the workspace, or None for a file that is not the project's own."""
        if filename not in self._relative:
            self._relative[filename] = self._find(filename)
        return self._relative[filename]

    def _find(self, filename: str) -> str | None:
        if not filename or filename.startswith("<"):
            return None
        path = self._realpath(self._join(self._start, filename))
        if not path.startswith(self.root + os.sep):
            return None
        path = path[len(self.root) + 1 :]
        return None if self._OUTSIDE.intersection(path.split(os.sep)) else path

    def lines(self, path: str) -> list[str]:
        """The lines of a workspace-relative file; none when it cannot be read."""
        if path not in self._lines:
            try:
                with self._open(self._join(self.root, path), errors="replace") as file:
                    self._lines[path] = file.read(2_000_000).splitlines()
            except OSError:
                self._lines[path] = []
        return self._lines[path]

    def function_at(self, path: str, line: int) -> str:
        """The innermost function or class around a line, `<module>` outside any."""
        try:
            tree = ast.parse("\n".join(self.lines(path)))
        except (SyntaxError, ValueError, RecursionError):
            return "<module>"
        name = "<module>"
        width: int | None = None
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                last = max((getattr(n, "lineno", 0) for n in ast.walk(node)), default=0)
                if node.lineno <= line <= last and (width is None or last - node.lineno < width):
                    name, width = node.name, last - node.lineno
        return name

    def frames(self, raw: Iterable[RawFrame]) -> list[list[Any]]:
        """Events' form of (filename, line, function) triples: the workspace's own, bounded."""
        found = []
        for filename, line, function in raw:
            path = self.relative(filename)
            if path is not None:
                found.append((path, line, function))
        if len(found) > FRAME_LIMIT:  # a runaway recursion: its entry and its end tell enough
            found = found[:10] + found[-(FRAME_LIMIT - 10) :]
        return [
            [path, line, function or self.function_at(path, line), self._code(path, line)]
            for path, line, function in found
        ]

    def _code(self, path: str, line: int) -> str:
        lines = self.lines(path)
        return lines[line - 1].strip()[:300] if 0 < line <= len(lines) else ""


def traceback_frames(traceback: TracebackType | None) -> list[RawFrame]:
    """(filename, line, function) from the outermost frame to the innermost."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append((code.co_filename, traceback.tb_lineno, code.co_name))
        traceback = traceback.tb_next
    return frames


def _strip_environment() -> None:
    """Take the harness out of what children and nested sessions see."""
    here = os.path.dirname(os.path.abspath(__file__))
    kept = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != here]
    if kept:
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)
    else:
        os.environ.pop("PYTHONPATH", None)
    if os.environ.get("PYTEST_ADDOPTS", "").startswith("-p greenroom_pytest"):
        del os.environ["PYTEST_ADDOPTS"]  # all of it is the harness's


def leave_path() -> None:
    """Take the harness's folder off sys.path; called by a plugin once its imports are done."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if p != here]


def _claim() -> tuple[Channel | None, frozenset[str] | None, bool, str]:
    number = os.environ.pop("GREENROOM_EVENTS_FD", None)
    only = [os.environ.pop(n) for n in sorted(os.environ) if n.startswith(ONLY_PREFIX)]
    trace = os.environ.pop("GREENROOM_TRACE", "") == "1"
    root = os.environ.pop("GREENROOM_WORKSPACE", "/workspace")
    if number is None:
        return None, None, False, root
    _strip_environment()
    try:
        channel = Channel(int(number))
    except (OSError, ValueError):
        return None, None, False, root
    selected = frozenset(json.loads("".join(only))) if only else None
    return channel, selected, trace, root


# Claimed once, by the process that loads this module: None, None, False in any other.
channel, selected, tracing, workspace = _claim()
