"""Processes of the sandbox: acting under its uid, and leaving nothing of what was started."""

from __future__ import annotations

import errno
import os
import time

from sandbox.supervisor.light import Ignoring, Library, UnsignedLong, get_errno, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
IPC_RMID = 0

# What calls raise for what cannot be done, also for names that are none (with a NUL, with half a
# surrogate pair) and times beyond any clock: an answer to a request, no fault of the supervisor.
UNDOABLE = (OSError, ValueError, OverflowError)

libc = Library()


class Account:
    """The uid and gid of the sandbox's commands, and the way to act under them."""

    def __init__(self, uid: int) -> None:
        self.uid = uid

    def acting(self) -> Acting:
        """Do file work as the sandbox would: with its permissions and no capabilities."""
        return Acting(self.uid)

    def become(self) -> None:
        """Give up root for good."""
        os.setgroups([])
        os.setresgid(self.uid, self.uid, self.uid)
        os.setresuid(self.uid, self.uid, self.uid)


class Acting:
    """Inside of it the effective ids are an account's, afterwards root's."""

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def __enter__(self) -> None:
        os.setegid(self._uid)
        os.seteuid(self._uid)

    def __exit__(self, *_: object) -> None:
        os.seteuid(0)
        os.setegid(0)


class Usage:
    """CPU seconds of what was reaped, and the largest resident size among it, in bytes."""

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self.max_rss_bytes = 0

    def add(self, used: Any) -> None:
        self.cpu_seconds += used.ru_utime + used.ru_stime
        self.max_rss_bytes = max(self.max_rss_bytes, used.ru_maxrss * 1024)


def set_process_option(option: int, value: int) -> None:
    """Call prctl."""
    if libc.prctl(option, UnsignedLong(value), 0, 0, 0):
        raise OSError(get_errno(), f"prctl {option}")


def has_subreapers() -> bool:
    """Whether a process other than PID 1 can be given the orphans below it (not so in gVisor)."""
    pid = os.fork()
    if pid == 0:
        os._exit(libc.prctl(PR_SET_CHILD_SUBREAPER, UnsignedLong(1), 0, 0, 0) != 0)
    return os.waitpid(pid, 0)[1] == 0


def reap(usage: Usage, main: int = 0) -> tuple[int | None, bool]:
    """Reap what has ended: the wait status of `main` if it was among them, and whether there are no
    children left."""
    found = None
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return found, True
        if pid == 0:
            return found, False
        usage.add(used)
        if pid == main:
            found = status


def kill_descendants(usage: Usage, spared: frozenset[int] = frozenset()) -> None:
    """Kill everything below this process, but the trees of the children in `spared`, and reap.

    Nothing is reaped before all is dead: zombies keep their places under the pids limit, so a bomb
    cannot grow again, and a relay of short lives comes to its end.
    """
    before: set[int] = set()
    while True:
        found = _descendants(os.getpid(), spared)
        living = [pid for pid, lives in found.items() if lives]
        for pid in living:
            with Ignoring(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not living:
            # One that was born while the others were looked at leaves a dead parent behind.
            done = found.keys() <= before if spared else reap(usage)[1]
            if done:
                return
            time.sleep(0.0005)
        before = set(found)


def _descendants(root: int, spared: frozenset[int]) -> dict[int, bool]:
    """The processes below `root` but for those in and below `spared`, and whether they live."""
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
    found = {}
    waiting = [root]
    while waiting:
        for pid, living in children.get(waiting.pop(), ()):
            if pid not in spared:
                waiting.append(pid)
                found[pid] = living
    return found


def remove_ipc_objects() -> None:
    """Remove the System V semaphores, queues and shared memory of the account acted under: they
    outlive processes."""
    calls = {"sem": (libc.semctl, (0, IPC_RMID)), "msg": (libc.msgctl, (IPC_RMID, None))}
    calls["shm"] = (libc.shmctl, (IPC_RMID, None))
    for kind, (control, arguments) in calls.items():
        try:
            with open(f"/proc/sysvipc/{kind}") as stream:
                lines = stream.readlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without them
        for line in lines:
            control(int(line.split()[1]), *arguments)


def number_of(error: Exception) -> int:
    """The errno of one of UNDOABLE."""
    return (error.errno or 0) if isinstance(error, OSError) else errno.EINVAL


def describe(error: Exception) -> dict[str, Any]:
    """One of UNDOABLE as the host is told it."""
    text = error.strerror if isinstance(error, OSError) else None
    return {"errno": number_of(error), "text": text or str(error)}
