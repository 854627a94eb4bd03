"""Shims: root processes that each run one command at a time, and nothing of it stays.

A shim is forked from the supervisor early, while that is small, and serves many commands. It keeps
one child forked ahead, which waits for the next command and becomes it: no command waits for a
fork. It is a subreaper, so whatever a command leaves behind, daemons included, becomes a child of
the shim and is killed before the result is told.
"""

from __future__ import annotations

import _socket as socket  # which that module wraps, and loads much for it
import errno
import fcntl
import gc
import marshal
import os
import struct
import sys
import termios
import time

from sandbox.supervisor import files
from sandbox.supervisor.light import Ignoring, signal
from sandbox.supervisor.processes import (
    PR_SET_CHILD_SUBREAPER,
    UNDOABLE,
    Account,
    Usage,
    kill_descendants,
    number_of,
    reap,
    set_process_option,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LENGTH = struct.Struct(">I")  # of the text that follows
NUMBER = struct.Struct(">Q")  # which command is to be stopped
STATUS = struct.Struct(">iiiddq")  # wait status, stage, errno, cpu seconds, seconds, rss bytes
BEGAN = struct.Struct(">d")
FAILURE = struct.Struct(">ii")
STARTED, NO_FOLDER, NO_PROGRAM = 0, 1, 2
MOST_LIKELY_OOM_VICTIM = b"1000"
# Among the container's own processes only: the supervisor gets its turn under any load.
LOWEST_PRIORITY = 19
SIGNALS = (signal.SIGCHLD, signal.SIGTERM)
DESCRIPTOR = struct.Struct("i")
ANCILLARY = socket.CMSG_SPACE(8 * DESCRIPTOR.size)


class Shim:
    """The supervisor's handle of one shim. `fileno` gives STATUS when a command has ended, and an
    end of file when the shim was killed."""

    def __init__(self) -> None:
        mine, theirs = socket.socketpair()
        stops_read, self._stops = os.pipe()
        self._socket = mine
        self._number = 0
        # Blocked from the start: a signal that comes early waits until the shim looks for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.pid = os.fork()
        except OSError:
            for fd in (stops_read, self._stops):
                os.close(fd)
            raise
        if self.pid == 0:
            run_and_exit(lambda: _serve(theirs, stops_read))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        theirs.close()
        os.close(stops_read)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def alive(self) -> bool:
        """Whether it still runs; an idle one that the kernel killed is found out only so."""
        try:
            return os.waitpid(self.pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:
            return False

    def begin(self, command: dict[str, Any], descriptors: dict[int, int]) -> None:
        """Start a command: "uid", "folder", "env", and "argv" or a "search". `descriptors` maps its
        descriptor numbers to the supervisor's."""
        self._number += 1
        command["targets"] = list(descriptors)
        text = marshal.dumps(command)
        passed = b"".join(DESCRIPTOR.pack(fd) for fd in descriptors.values())
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)]
        self._socket.sendmsg([LENGTH.pack(len(text))], ancillary)
        self._socket.sendall(text)

    def stop(self) -> None:
        """Have the running command killed with all below it. The number says which command is
        meant; the signal only has it looked for."""
        with Ignoring(OSError):  # a shim that died is found out by its end
            os.write(self._stops, NUMBER.pack(self._number))
            os.kill(self.pid, signal.SIGTERM)

    def report(self) -> tuple[Any, ...] | None:
        """The STATUS of the command that ended; None when the shim itself is dead."""
        try:
            report = self._socket.recv(STATUS.size)
        except ConnectionResetError:  # it died before it read what it was sent
            return None
        return STATUS.unpack(report) if len(report) == STATUS.size else None

    def close(self) -> None:
        """Let go of a dead shim."""
        self._socket.close()
        os.close(self._stops)
        with Ignoring(ChildProcessError):  # reaped together with what it left
            os.waitpid(self.pid, 0)


def run_and_exit(work: Callable[[], int]) -> None:
    """Run a forked process's work and end it, whatever happens, without the parent's clean-up."""
    code = 70
    try:
        code = work()
    except BaseException:  # A forked process must never run on as a second supervisor.
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _serve(channel: socket.socket, stops: int) -> int:
    gc.disable()  # a collection would touch, and so copy, all that is shared with the supervisor
    with Ignoring(OSError):  # gVisor: orphans become the supervisor's, which ends them
        set_process_option(PR_SET_CHILD_SUBREAPER, 1)
    # Nothing of the supervisor's may stay open here: a command would miss the end of its input.
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > 2 and fd not in (channel.fileno(), stops):
            with Ignoring(OSError):  # the one that listed them
                os.close(fd)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    os.close(null)
    os.set_blocking(stops, False)
    # Python ignores these two; a program expects them as they are.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    number, received = 1, None
    while True:
        try:
            child = _Child(channel, received)
        except OSError as error:  # other commands have all the processes, or descriptors
            if received is None:
                # Try again when there is a command to tell of it.
                received = _receive(channel)
                if received is None:
                    return 0
                continue
            status: bytes | None = STATUS.pack(0, NO_PROGRAM, error.errno or 0, 0.0, 0.0, 0)
        else:
            status = child.watch(stops, number)
        for fd in received[1] if received else ():
            os.close(fd)
        if status is None:
            return 0
        received = None
        channel.send(status)
        number += 1


class _Child:
    """A child that waits for the next command and becomes it. Raises OSError when there can be no
    further process."""

    def __init__(
        self, channel: socket.socket, received: tuple[dict[str, Any], list[int]] | None
    ) -> None:
        self._told, tell = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._told)
            os.close(tell)
            raise
        if self._pid == 0:
            run_and_exit(lambda: _await_command(channel, received, tell))
        os.close(tell)

    def watch(self, stops: int, number: int) -> bytes | None:
        """Wait until the command has ended, or is stopped by its number; kill what is left of it:
        its STATUS. None when there was no command: the supervisor is gone, or the kernel killed
        the child."""
        usage = Usage()
        status = self._wait(stops, number, usage)
        ended = time.monotonic()
        # Before a command is known to have begun, a part of it may still lie in the channel.
        began = os.read(self._told, BEGAN.size)
        if status is None or reap(usage)[1] is False:
            kill_descendants(usage)
        failure = os.read(self._told, FAILURE.size) if began else b""
        os.close(self._told)
        if not began:
            return None
        stage, error = FAILURE.unpack(failure) if failure else (STARTED, 0)
        seconds = ended - BEGAN.unpack(began)[0]
        killed = signal.SIGKILL if status is None else status
        return STATUS.pack(killed, stage, error, usage.cpu_seconds, seconds, usage.max_rss_bytes)

    def _wait(self, stops: int, number: int, usage: Usage) -> int | None:
        """The wait status of the command itself; None when it is to be stopped."""
        while True:
            if signal.sigwait(SIGNALS) == signal.SIGTERM and number in _numbers(stops):
                return None
            status, _ = reap(usage, self._pid)
            if status is not None:
                return status


def _numbers(stops: int) -> set[int]:
    """The commands that were to be stopped; one that had just ended may be among them."""
    try:
        data = os.read(stops, 64 * NUMBER.size)
    except BlockingIOError:
        return set()
    return {number for (number,) in NUMBER.iter_unpack(data)}


def _await_command(
    channel: socket.socket, received: tuple[dict[str, Any], list[int]] | None, tell: int
) -> int:
    found = received or _receive(channel)
    if found is None:
        return 0
    os.write(tell, BEGAN.pack(time.monotonic()))
    return _become(*found, tell)


def _receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next command and its descriptors; None when the supervisor is gone."""
    head, ancillary, _, _ = channel.recvmsg(LENGTH.size, ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    if len(head) < LENGTH.size:
        return None
    passed = [fd for _, _, data in ancillary for (fd,) in DESCRIPTOR.iter_unpack(data)]
    (left,) = LENGTH.unpack(head)
    parts = []
    while left:
        parts.append(channel.recv(left))
        if not parts[-1]:
            return None
        left -= len(parts[-1])
    return marshal.loads(b"".join(parts)), passed  # noqa: S302 - from the supervisor


def _become(command: dict[str, Any], descriptors: list[int], tell: int) -> int:
    """Become the command, or tell the shim why not."""
    stage = NO_FOLDER
    try:
        os.setsid()
        for target, source in zip(command["targets"], descriptors):  # noqa: B905 - Python 3.7
            os.dup2(source, target)
        if command.get("terminal"):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(score, MOST_LIKELY_OOM_VICTIM)
        os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        Account(command["uid"]).become()
        os.chdir(command["folder"])
        stage = NO_PROGRAM
        if "search" in command:
            os.close(tell)
            return files.search(command["search"])
        _execute(command["argv"], command["env"])
    except UNDOABLE as error:
        os.write(tell, FAILURE.pack(stage, number_of(error)))
    return 127


def _execute(argv: list[str], environment: dict[str, str]) -> None:
    """As `os.execvpe`, which loads a module in each process, and makes an error of each folder of
    the PATH that a program is not in."""
    program = argv[0]
    if "/" in program:
        os.execve(program, argv, environment)  # noqa: S606 - running it is the point
    failure = None
    for folder in environment["PATH"].split(":"):
        path = f"{folder or '.'}/{program}"
        if os.access(path, os.F_OK):
            try:
                os.execve(path, argv, environment)  # noqa: S606
            except OSError as error:
                failure = failure or error
    raise failure or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
