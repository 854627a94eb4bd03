"""One running command: its pipes, its output with head and tail kept, its end."""

from __future__ import annotations

import errno
import os
import select
import time

from sandbox import protocol
from sandbox.supervisor.light import Ignoring, signal
from sandbox.supervisor.shim import Shim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CHUNK = 64 * 1024
MAX_PIPE = 1 << 20  # what an unprivileged process may make a pipe hold
EVENTS_FD = 1000
NOTHING_RAN = {
    "status": 0,
    "stage": 0,
    "errno": 0,
    "reason": "",
    "oom_kills": 0,
    "seconds": 0.0,
    "cpu_seconds": 0.0,
    "max_rss_bytes": 0,
    "total": 0,
    "events_total": 0,
}
OOM_COUNTERS = ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")
SHIM_PATIENCE = 30.0

_opened: list[int] = []


class Kept:
    """Output as it is kept: what was sent on live, the last bytes, and the count of all."""

    def __init__(self, live: int, tail: int) -> None:
        self.total = 0
        self._live = live
        self._limit = tail
        self._tail = bytearray()

    def add(self, data: bytes) -> bytes:
        """Take output in; what of it is to be sent on at once."""
        self.total += len(data)
        now = data[: self._live]
        self._live -= len(now)
        rest = data[len(now) :]
        if rest:
            self._tail += rest[-self._limit :] if self._limit else b""
            if len(self._tail) > 2 * self._limit:
                del self._tail[: -self._limit]
        return now

    def tail(self) -> bytes:
        return bytes(self._tail[-self._limit :]) if self._limit else b""


class Command:
    """A command in its shim. The owner watches `out`, `events` and the shim, and says when they are
    ready; a descriptor is -1 when it is not open."""

    def __init__(
        self,
        ident: int,
        shim: Shim,
        request: dict[str, Any],
        send: Callable[[int, int, bytes], None],
    ) -> None:
        self.ident = ident
        self.shim = shim
        self.deadline: float = time.monotonic() + request["timeout"]
        self.reason = ""
        self._send = send
        self._stop_at = request["output_stop"]
        self.kept = Kept(request["live"], request["tail"])
        self._events_left = request["events_limit"]
        self._events_total = 0
        self._input = bytearray()
        self._input_ended = False
        self._oom_before = oom_kills()
        self._ended = False
        self.out = self.events = self.stdin = -1

    def start(self, uid: int, what: dict[str, Any], request: dict[str, Any]) -> None:
        """Start it: `what` is an "argv" or a "search"."""
        out_read, out_write = os.pipe()
        in_read, in_write = os.pipe()
        mine, theirs = [out_read, in_write], {0: in_read, 1: out_write, 2: out_write}
        environment = request["env"]
        if self._events_left > 0:
            self.events, events_write = os.pipe()
            mine.append(self.events)
            theirs[EVENTS_FD] = events_write
            environment = {**environment, "GREENROOM_EVENTS_FD": str(EVENTS_FD)}
        self.out, self.stdin = out_read, in_write
        for fd in mine:
            os.set_blocking(fd, False)
        start = {"uid": uid, "folder": request["folder"], "env": environment, **what}
        try:
            self.shim.begin(start, theirs)
        finally:
            for fd in set(theirs.values()):
                os.close(fd)

    def take_input(self, data: bytes) -> None:
        self._input += data

    def end_input(self) -> None:
        self._input_ended = True

    @property
    def wants_to_write(self) -> bool:
        return self.stdin >= 0 and (bool(self._input) or self._input_ended)

    def write_input(self) -> None:
        """Give the command as much input as it takes; close its input at the end."""
        try:
            while self._input:
                del self._input[: os.write(self.stdin, self._input[:CHUNK])]
        except BlockingIOError:
            return
        except OSError:  # a pipe that nobody reads, a terminal that has ended
            self._input.clear()
            self._input_ended = True
        if self._input_ended:
            os.close(self.stdin)
            self.stdin = -1

    def read_output(self) -> bool:
        """Take what the command wrote; whether the pipe has ended."""
        data = _read(self.out)
        if data:
            now = self.kept.add(data)
            if now:
                self._send(protocol.OUTPUT, self.ident, now)
            if self.kept.total > self._stop_at:
                self.stop("output")
        return data == b""

    def read_events(self) -> bool:
        """Take what the command reported; whether the pipe has ended."""
        data = _read(self.events)
        if data:
            self._events_total += len(data)
            now = data[: self._events_left]
            self._events_left -= len(now)
            if now:
                self._send(protocol.EVENTS, self.ident, now)
        return data == b""

    def stop(self, reason: str) -> None:
        """Have the shim kill the command and all below it."""
        if not self._ended and not self.reason:
            self.reason = reason
            self.deadline = time.monotonic() + SHIM_PATIENCE
            self.shim.stop()

    def finish(self) -> tuple[bytes, dict[str, Any], bool]:
        """When the shim has told, or died: the tail of the output, the result, and whether the shim
        lives."""
        report = self.shim.report()
        self._ended = True
        # A process of another command may hold the pipe open: take what there is, and no more.
        for fd, read in ((self.out, self.read_output), (self.events, self.read_events)):
            rounds = MAX_PIPE // CHUNK
            while fd >= 0 and rounds and _pending(fd) and not read():
                rounds -= 1
        for fd in (self.out, self.events, self.stdin):
            if fd >= 0:
                os.close(fd)
        # Only the kernel kills a shim, for want of memory: it is root's.
        status, stage, error, cpu, seconds, rss = report or (signal.SIGKILL, 0, 0, 0.0, 0.0, 0)
        result = {
            **NOTHING_RAN,
            "status": status,
            "stage": stage,
            "errno": error,
            "reason": self.reason,
            "oom_kills": oom_kills() - self._oom_before,
            "seconds": seconds,
            "cpu_seconds": cpu,
            "max_rss_bytes": rss,
            "total": self.kept.total,
            "events_total": self._events_total,
        }
        return self.kept.tail(), result, report is not None


def _read(fd: int) -> bytes | None:
    """What is in a pipe now: b"" at its end, None when there is nothing yet."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == errno.EIO:  # how a terminal ends
            return b""
        raise


def _pending(fd: int) -> bool:
    """Whether a pipe holds something. (`select` cannot look at high descriptors.)"""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def oom_kills() -> int:
    """How many processes of this container the kernel has killed for want of memory."""
    for fd in _oom_counters():
        for line in os.pread(fd, CHUNK, 0).splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0


def _oom_counters() -> list[int]:
    """The kernel's counters, opened once: they are read twice a command."""
    if not _opened:
        for path in OOM_COUNTERS:
            with Ignoring(OSError):  # the other version of control groups
                _opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    return _opened
