"""The commands that run now: their shims, what they write, their end."""

from __future__ import annotations

from sandbox import protocol
from sandbox.supervisor import processes
from sandbox.supervisor.background import Background
from sandbox.supervisor.commands import NOTHING_RAN, Command
from sandbox.supervisor.light import READ, WRITE, Selector, dumps
from sandbox.supervisor.shim import NO_PROGRAM, Shim
from sandbox.supervisor.stream import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Running:
    """The sandbox's commands while they run, by the number of their request, and the shims that
    wait for the next ones. `one_ended` is called when descriptors have become free."""

    def __init__(self, selector: Selector, outbox: Outbox, one_ended: Callable[[], None]) -> None:
        self.commands: dict[int, Command] = {}
        self.adopts = False  # orphans become the supervisor's own: there are no subreapers
        self._selector = selector
        self._outbox = outbox
        self._one_ended = one_ended
        self._idle: list[Shim] = []
        self._held: list[tuple[Command, str]] = []

    def prepare_shim(self) -> None:
        """Have one wait before it is needed."""
        self._idle.append(Shim())

    def free_shim(self) -> Shim:
        """One that waits, or a new one. Raises OSError when there can be no further process."""
        while self._idle:
            shim = self._idle.pop()
            if shim.alive:
                return shim
            shim.close()
        return Shim()

    def start(
        self, ident: int, account: processes.Account, what: dict[str, Any], request: dict[str, Any]
    ) -> None:
        """Start a command; what keeps it from starting is its answer."""
        try:
            shim = self.free_shim()
            command = Command(ident, shim, request, self._outbox.send)
            command.start(account.uid, what, request)
        except OSError as error:  # other commands have all the processes
            result = {**NOTHING_RAN, "stage": NO_PROGRAM, "errno": error.errno}
            self._outbox.send(protocol.REPLY, ident, dumps(result).encode())
            return
        self.watch(command)

    def watch(self, command: Command) -> None:
        """Take what a command that was started writes, and its end."""
        self.commands[command.ident] = command
        end = lambda: self._end(command)  # noqa: E731 - bound to this command
        self._selector.register(command.shim.fileno(), READ, end)
        for name in ("out", "events"):
            if getattr(command, name) >= 0:
                self._watch_pipe(command, name)

    def take(self, command: Command, kind: int, payload: bytes) -> None:
        """Take a frame for a command: its input, its input's end, or that it is to end."""
        if kind == protocol.INPUT:
            command.take_input(payload)
        elif kind == protocol.END:
            command.end_input()
        elif kind == protocol.CANCEL:
            command.stop("cancelled")
        self._watch_input(command)

    def release(self) -> None:
        """Read on from the pipes that were held up."""
        held, self._held = self._held, []
        for command, name in held:
            if command.ident in self.commands:
                self._watch_pipe(command, name)

    def nearest(self, moment: float) -> float:
        """When the next command has to be looked at; `moment`, if none has to be before."""
        for command in self.commands.values():
            moment = min(moment, command.deadline)
        return moment

    def stop_overdue(self, now: float) -> None:
        """Stop the commands whose time is over."""
        for command in list(self.commands.values()):
            if command.deadline > now:
                continue
            if command.reason:
                # Its shim does not come to an end: the container is no good any more.
                raise SystemExit(1)
            command.stop("timeout")

    def end_all(self) -> None:
        """Kill every command, and whatever is left of any."""
        for command in list(self.commands.values()):
            command.stop("cancelled")
            self._end(command)
        self._kill_orphans()

    def _read_pipe(self, command: Command, name: str) -> None:
        if self._outbox.crowded:
            # A host that reads slowly holds the command up, and not this process's memory.
            self._held.append((command, name))
            self._selector.unregister(getattr(command, name))
        elif command.read_output() if name == "out" else command.read_events():
            self._selector.unregister(getattr(command, name))

    def _watch_pipe(self, command: Command, name: str) -> None:
        read = lambda: self._read_pipe(command, name)  # noqa: E731 - bound to this pipe
        self._selector.register(getattr(command, name), READ, read)

    def _watch_input(self, command: Command) -> None:
        if not command.wants_to_write:
            return
        fd = command.stdin
        command.write_input()
        watched = fd in self._selector
        if command.wants_to_write and not watched:
            self._selector.register(fd, WRITE, lambda: self._watch_input(command))
        elif watched and not command.wants_to_write:
            self._selector.unregister(fd)

    def _end(self, command: Command) -> None:
        for fd in (command.out, command.events, command.stdin, command.shim.fileno()):
            if fd >= 0 and fd in self._selector:
                self._selector.unregister(fd)
        del self.commands[command.ident]
        tail, result, shim_lives = command.finish()
        if shim_lives:
            self._idle.append(command.shim)
        else:
            command.shim.close()
        if self.adopts or not shim_lives:
            self._kill_orphans()
        self._one_ended()
        if isinstance(command, Background):
            command.result = result
            if command.waiting:
                self._outbox.send(protocol.REPLY, command.waiting, b"{}")
            return
        self._outbox.send_all(protocol.TAIL, command.ident, tail)
        self._outbox.send(protocol.REPLY, command.ident, dumps(result).encode())

    def _kill_orphans(self) -> None:
        """Kill what a dead shim left, or, where there are no subreapers, any command: it is the
        supervisor's own now."""
        shims = [*self._idle, *(command.shim for command in self.commands.values())]
        usage = processes.Usage()
        processes.kill_descendants(usage, frozenset(shim.pid for shim in shims))
        processes.reap(usage)
