"""A person's terminal joined to a shell in a sandbox."""

import asyncio
import contextlib
import os
import queue
import re
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from typing import Any

from sandbox.channel import Channel
from sandbox.errors import InfrastructureError
from sandbox.threads import in_thread
from sandbox.wire import Wire

CHUNK = 64 * 1024
HIGH_WATER = 1 << 20
UNBOUNDED = 1 << 60
FOREVER = 1e9
TERMINAL_NAMES = re.compile(r"[a-z0-9][a-z0-9+.-]{0,30}")
# Strings for the terminal itself: clipboard, title, links, answers to type (OSC, DCS, SOS, PM,
# APC, in their 7-bit forms and as C1 characters). A shell does not need them; an attacker does.
STRING_START = re.compile(rb"\x1b[\]PX^_]|\xc2[\x9d\x90\x98\x9e\x9f]")
STRING_END = re.compile(rb"\x07|\x1b\\|\xc2\x9c|\x18|\x1a")


class StringFilter:
    """Drops strings meant for the terminal itself from a stream that is cut anywhere."""

    def __init__(self) -> None:
        self._inside = False
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """What of `data` may be shown. The start of what may become such a string is kept back
        until the next call."""
        data = self._rest + data
        self._rest = data[-1:] if data[-1:] in (b"\x1b", b"\xc2") else b""
        shown = bytearray()
        start = 0
        while start < len(data):
            found = (STRING_END if self._inside else STRING_START).search(data, start)
            end = found.start() if found else len(data) - len(self._rest)
            shown += b"" if self._inside else data[start:end]
            if found is None:
                break
            start = found.end()
            self._inside = not self._inside
        return bytes(shown)


class Screen:
    """Writes to the person's terminal from a thread: it may be stopped there for as long as the
    person likes (Ctrl-S), and the sandbox's lease must be kept meanwhile."""

    def __init__(self, fd: int, channel: Channel) -> None:
        self._fd = fd
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._filter = StringFilter()
        self._parts: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting = 0
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def show(self, _: int, data: bytes) -> None:
        data = self._filter.feed(data)
        self._waiting += len(data)
        self._parts.put(data)
        if self._waiting > HIGH_WATER:
            self._channel.pause_reading()

    async def close(self) -> None:
        """Show what is left."""
        self._parts.put(None)
        await in_thread(self._thread.join)

    def _write(self) -> None:
        while (data := self._parts.get()) is not None:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            self._loop.call_soon_threadsafe(self._shown, len(data))

    def _shown(self, size: int) -> None:
        self._waiting -= size
        if self._waiting <= HIGH_WATER:
            self._channel.resume_reading()


async def join_terminal(wire: Wire, channel: Channel, cwd: str) -> int:
    """Run a login shell, with this process's standard input and output as its terminal: its exit
    code. Raises InfrastructureError when the sandbox dies."""
    source, target = sys.stdin.fileno(), sys.stdout.fileno()
    rows, columns = _size(target)
    name = os.environ.get("TERM", "")
    request = {
        "op": "shell",
        "argv": ["bash", "-l"],
        "folder": wire.folder(cwd),
        "env": {"TERM": name if TERMINAL_NAMES.fullmatch(name) else "xterm"},
        "rows": rows,
        "columns": columns,
        "timeout": FOREVER,
        "live": UNBOUNDED,
        "tail": 0,
        "events_limit": 0,
        "output_stop": UNBOUNDED,
    }
    with _raw(source):
        screen = Screen(target, channel)
        try:
            async with wire.explained():
                reply = await _joined(source, target, wire, channel, request, screen)
        finally:
            await screen.close()  # before the terminal is put back: it would change what comes
    if "error" in reply or reply.get("stage"):
        raise InfrastructureError(f"The sandbox could not start a shell: {reply!s:.200}")
    return wire.understand(lambda: os.waitstatus_to_exitcode(int(reply["status"])))


async def _joined(
    source: int,
    target: int,
    wire: Wire,
    channel: Channel,
    request: dict[str, Any],
    screen: Screen,
) -> dict[str, Any]:
    """The shell's reply, when it has ended."""
    pending = channel.begin(request, screen.show)
    try:
        with _typing(source, channel, pending.ident), _sizes(target, wire, pending.ident):
            return await channel.finish(pending)
    except BaseException:
        channel.drop(pending)
        raise


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Keys go to the sandbox as they are, Ctrl-C too."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _size(fd: int) -> tuple[int, int]:
    """A terminal's rows and columns; the usual ones for what is none."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return 24, 80
    return rows, columns


@contextlib.contextmanager
def _typing(fd: int, channel: Channel, ident: int) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def typed() -> None:
        data = os.read(fd, CHUNK)
        if data:
            channel.send_input(ident, data)
        else:
            loop.remove_reader(fd)
            channel.end_input(ident)

    loop.add_reader(fd, typed)
    try:
        yield
    finally:
        loop.remove_reader(fd)


@contextlib.contextmanager
def _sizes(fd: int, wire: Wire, ident: int) -> Iterator[None]:
    """Tell the shell when the window changes."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[Any]] = set()

    def resized() -> None:
        rows, columns = _size(fd)
        change = {"op": "resize", "target": ident, "rows": rows, "columns": columns}
        tasks.add(asyncio.ensure_future(wire.ask(change)))

    loop.add_signal_handler(signal.SIGWINCH, resized)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        for task in tasks:
            task.cancel()
