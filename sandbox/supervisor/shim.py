"""Shims: root processes that each run one command at a time, and nothing of it stays.

A shim is forked from the supervisor early, while that is small, and serves many commands: forking
is then cheap. It is a subreaper, so whatever a command leaves behind, daemons included, becomes a
child of the shim and is killed before the result is told.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

from sandbox.supervisor import files
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

MESSAGE = struct.Struct(">BI")  # kind, length of the text that follows
BEGIN, STOP = 1, 2
STATUS = struct.Struct(">iiiddq")  # wait status, stage, errno, cpu seconds, seconds, rss bytes
FAILURE = struct.Struct(">ii")
STARTED, NO_FOLDER, NO_PROGRAM = 0, 1, 2
MOST_LIKELY_OOM_VICTIM = b"1000"
# Among the container's own processes only: the supervisor gets its turn under any load.
LOWEST_PRIORITY = 19
SIGNALS = (signal.SIGCHLD, signal.SIGTERM)
MAX_DESCRIPTORS = 8


class Shim:
    """The supervisor's handle of one shim. `fileno` gives STATUS when a command has ended, and an
    end of file when the shim was killed."""

    def __init__(self) -> None:
        mine, theirs = socket.socketpair()
        self._socket = mine
        # Blocked from the start: a signal that comes early waits until the shim looks for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self.pid = os.fork()
        if self.pid == 0:
            run_and_exit(lambda: _serve(theirs))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        theirs.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def begin(self, command: dict[str, Any], descriptors: dict[int, int]) -> None:
        """Start a command: "uid", "folder", "env", and "argv" or a "search". `descriptors` maps its
        descriptor numbers to the supervisor's."""
        command["targets"] = list(descriptors)
        text = json.dumps(command).encode("ascii")
        passed = array.array("i", descriptors.values())
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)]
        self._socket.sendmsg([MESSAGE.pack(BEGIN, len(text))], ancillary)
        self._socket.sendall(text)

    def stop(self) -> None:
        """Have the running command killed with all below it. The message says which command is
        meant, by its place among the others; the signal only has it looked for."""
        with contextlib.suppress(OSError):  # a shim that died is found out by its end
            self._socket.sendall(MESSAGE.pack(STOP, 0))
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
        with contextlib.suppress(ChildProcessError):  # reaped together with what it left
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


def _serve(channel: socket.socket) -> int:
    set_process_option(PR_SET_CHILD_SUBREAPER, 1)
    # Nothing of the supervisor's may stay open here: a command would miss the end of its input.
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > 2 and fd != channel.fileno():
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(fd)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    os.close(null)
    while True:
        received = _receive(channel)
        if received is None:
            return 0
        channel.send(_run(channel, *received))


def _receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next command and its descriptors; None when the supervisor is gone."""
    room = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
    ancillary: list[Any] = []
    kind, left = STOP, 0
    while kind == STOP:  # one that came when its command had just ended
        head, ancillary, _, _ = channel.recvmsg(MESSAGE.size, room, socket.MSG_CMSG_CLOEXEC)
        if len(head) < MESSAGE.size:
            return None
        kind, left = MESSAGE.unpack(head)
    passed = array.array("i")
    for _, _, data in ancillary:
        passed.frombytes(data)
    parts = []
    while left:
        parts.append(channel.recv(left))
        if not parts[-1]:
            return None
        left -= len(parts[-1])
    return json.loads(b"".join(parts)), list(passed)


def _run(channel: socket.socket, command: dict[str, Any], descriptors: list[int]) -> bytes:
    """Run a command to its end and kill what it left: its STATUS."""
    began = time.monotonic()
    try:
        error_read, error_write = os.pipe()
        main = os.fork()
    except OSError as error:  # other commands have all the processes, or descriptors
        for fd in descriptors:
            os.close(fd)
        return STATUS.pack(0, NO_PROGRAM, error.errno or 0, 0.0, 0.0, 0)
    if main == 0:
        run_and_exit(lambda: _become(command, descriptors, error_write))
    for fd in (error_write, *descriptors):
        os.close(fd)
    usage = Usage()
    status, alone = _wait_for(channel, main, usage)
    seconds = time.monotonic() - began
    if not alone:
        kill_descendants(usage)
    # Only now: another command can stop this one (SIGSTOP) before it has become its program.
    failure = os.read(error_read, FAILURE.size)
    os.close(error_read)
    stage, number = FAILURE.unpack(failure) if len(failure) == FAILURE.size else (STARTED, 0)
    return STATUS.pack(status, stage, number, usage.cpu_seconds, seconds, usage.max_rss_bytes)


def _wait_for(channel: socket.socket, main: int, usage: Usage) -> tuple[int, bool]:
    """Reap until the command itself ended (its wait status) or is to be stopped (9); and whether
    nothing is left of it."""
    while True:
        if signal.sigwait(SIGNALS) == signal.SIGTERM and _stopped(channel):
            return signal.SIGKILL, False
        status, alone = reap(usage, main)
        if status is not None:
            return status, alone


def _stopped(channel: socket.socket) -> bool:
    """Whether a STOP has come. Without one, the signal was meant for a command before."""
    try:
        return bool(channel.recv(MESSAGE.size, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


def _become(command: dict[str, Any], descriptors: list[int], error_write: int) -> int:
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
        # Python ignores these two; a program expects them as they are.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        Account(command["uid"]).become()
        os.chdir(command["folder"])
        stage = NO_PROGRAM
        if "search" in command:
            os.close(error_write)
            return files.search(command["search"])
        program = command["argv"]
        os.execvpe(program[0], program, command["env"])  # noqa: S606 - running it is the point
    except UNDOABLE as error:
        os.write(error_write, FAILURE.pack(stage, number_of(error)))
    return 127
