"""Processes of the sandbox: starting one under its own uid, and leaving nothing of it.

Every command gets a shim: a fork of the supervisor that stays root and is a subreaper, so that
whatever the command leaves behind, daemons included, becomes a child of the shim and dies with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
STATUS = struct.Struct(">iiiddq")  # wait status, stage, errno, cpu seconds, seconds, rss bytes
STARTED, NO_FOLDER, NO_PROGRAM = 0, 1, 2
MOST_LIKELY_OOM_VICTIM = b"1000"
SHIM_SIGNALS = (signal.SIGCHLD, signal.SIGTERM)

libc = ctypes.CDLL(None, use_errno=True)


class Account:
    """The uid and gid of the sandbox's commands, and the way to act under them."""

    def __init__(self, uid: int) -> None:
        self.uid = uid

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """Do file work as the sandbox would: with its permissions and no capabilities."""
        os.setegid(self.uid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)

    def become(self) -> None:
        """Give up root for good."""
        os.setgroups([])
        os.setresgid(self.uid, self.uid, self.uid)
        os.setresuid(self.uid, self.uid, self.uid)


class Start:
    """What a command starts with. `program` is an argument list, or a function to run instead;
    `fds` maps descriptor numbers of the command to descriptors of the supervisor."""

    def __init__(
        self,
        program: list[str] | Callable[[], int],
        folder: str,
        environment: dict[str, str],
        fds: dict[int, int],
        terminal: bool = False,
    ) -> None:
        self.program = program
        self.folder = folder
        self.environment = environment
        self.fds = fds
        self.terminal = terminal


def set_process_option(option: int, value: int) -> None:
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def start_shim(account: Account, start: Start, unneeded: list[int]) -> tuple[int, int]:
    """Start a command under a shim: the shim's pid, and a descriptor that will give its STATUS.

    `unneeded` are descriptors of the supervisor that must not stay open in the shim.
    """
    status_read, status_write = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, SHIM_SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            run_and_exit(lambda: _shim(account, start, [status_read, *unneeded], status_write))
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    os.close(status_write)
    return pid, status_read


def run_and_exit(work: Callable[[], int]) -> None:
    """Run a forked process's work and end it, whatever happens, without the parent's clean-up."""
    code = 70
    try:
        code = work()
    except BaseException:  # A forked process must never run on as a second supervisor.
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _shim(account: Account, start: Start, unneeded: list[int], status_write: int) -> int:
    set_process_option(PR_SET_CHILD_SUBREAPER, 1)
    for fd in unneeded:
        os.close(fd)
    began = time.monotonic()
    error_read, error_write = os.pipe()
    main = os.fork()
    if main == 0:
        run_and_exit(lambda: _command(account, start, error_write))
    os.close(error_write)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    for fd in set(start.fds.values()):
        os.close(fd)
    failure = os.read(error_read, 8)
    status = _wait_for(main)
    seconds = time.monotonic() - began
    kill_descendants()
    stage, number = struct.unpack(">ii", failure) if len(failure) == 8 else (STARTED, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    os.write(status_write, STATUS.pack(status, stage, number, cpu, seconds, used.ru_maxrss * 1024))
    return 0


def _wait_for(main: int) -> int:
    """Reap until the command itself ended (its wait status) or SIGTERM asks for its end (9)."""
    while True:
        if signal.sigwait(SHIM_SIGNALS) == signal.SIGTERM:
            return signal.SIGKILL
        status = _reap(main)[0]
        if status is not None:
            return status


def _reap(main: int = 0) -> tuple[int | None, bool]:
    """Reap what has ended: the wait status of `main` if it was among them, and whether there are no
    children left."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found, True
        if pid == 0:
            return found, False
        if pid == main:
            found = status


def kill_descendants(spared: frozenset[int] = frozenset()) -> None:
    """Kill everything below this process, but the trees of the children in `spared`, and reap.

    Nothing is reaped before all is dead: zombies keep their places under the pids limit, so a bomb
    cannot grow again.
    """
    if not spared and _reap()[1]:
        return
    while True:
        living = list(_living_descendants(os.getpid(), spared))
        if not living:
            if spared or _reap()[1]:
                return
            time.sleep(0.0005)
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _living_descendants(root: int, spared: frozenset[int]) -> Iterator[int]:
    children: dict[int, list[tuple[int, bool]]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:
                fields = stream.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # A leader that ended before its threads looks like a zombie, and is none.
        living = fields[0] not in (b"Z", b"X") or int(fields[17]) > 1
        children.setdefault(int(fields[1]), []).append((int(name), living))
    waiting = [root]
    while waiting:
        for pid, living in children.get(waiting.pop(), ()):
            if pid in spared:
                continue
            waiting.append(pid)
            if living:
                yield pid


def _command(account: Account, start: Start, error_write: int) -> int:
    """Become the command, or tell the shim why not."""
    stage = NO_FOLDER
    try:
        os.setsid()
        _place_descriptors(start.fds)
        if start.terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        with open("/proc/self/oom_score_adj", "wb", 0) as stream:
            stream.write(MOST_LIKELY_OOM_VICTIM)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        account.become()
        os.chdir(start.folder)
        stage = NO_PROGRAM
        if callable(start.program):
            os.close(error_write)
            return start.program()
        os.execvpe(start.program[0], start.program, start.environment)  # noqa: S606 - the point
    except OSError as error:
        os.write(error_write, struct.pack(">ii", stage, error.errno or 0))
    return 127


def _place_descriptors(fds: dict[int, int]) -> None:
    """Put each descriptor at its number, inheritable; none of the sources is a target."""
    for target, source in fds.items():
        os.dup2(source, target)


def describe(error: OSError) -> dict[str, Any]:
    """An error as the host is told it."""
    return {"errno": error.errno or 0, "text": error.strerror or str(error)}
