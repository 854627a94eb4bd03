"""The host's end of one connection that a command made to the way out: bytes both ways, by credit.

Neither side buffers more than a window: bytes are sent while the inside has room for them, and it
may send as many as were granted here, which happens when they are read.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from sandbox import protocol
from sandbox.egress.record import Denied

PIECE = 64 * 1024
#: At a farewell: how long, and for how many bytes, the inside may take to see it.
FAREWELL_SECONDS = 2.0
FAREWELL_BYTES = 1 << 20


class Carrier(Protocol):
    """What carries frames to the supervisor."""

    def send(self, kind: int, ident: int, payload: bytes = b"") -> None: ...

    async def drain(self) -> None:
        """Wait until the stream takes more."""


class LinkClosed(Exception):
    """The connection is gone. `denied` says why, None when the inside closed it."""

    def __init__(self, denied: Denied | None) -> None:
        super().__init__(denied.why if denied else "the inside closed the connection")
        self.denied = denied


class Link:
    """One connection. One task reads at a time, and one writes. `forget` is called when it is gone
    for both sides."""

    def __init__(self, ident: int, carrier: Carrier, forget: Callable[[int], None]) -> None:
        self.ident = ident
        self._forget = forget
        self._carrier = carrier
        self._arrived = bytearray()
        self._granted = protocol.LINK_WINDOW
        self._owed = 0
        self._credit = protocol.LINK_WINDOW
        self._heard_end = False
        self._said_end = False
        self._closed: LinkClosed | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._gone = asyncio.Event()

    # -- for who works with it ----------------------------------------------------------------

    async def read(self, limit: int = PIECE) -> bytes:
        """The next bytes, b"" when the inside has ended its side. Raises LinkClosed."""
        while not self._arrived:
            if self._closed:
                raise self._closed
            if self._heard_end:
                return b""
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._arrived[:limit])
        del self._arrived[: len(data)]
        self._owed += len(data)
        if self._owed >= protocol.LINK_WINDOW // 4 and not self._closed:
            self._granted += self._owed
            self._carrier.send(protocol.LINK_CREDIT, self.ident, protocol.CREDIT.pack(self._owed))
            self._owed = 0
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes, waiting while the inside has no room for them. Raises LinkClosed."""
        start = 0
        while start < len(data):
            await self._carrier.drain()
            if self._closed:
                raise self._closed
            if not self._credit:
                self._writable.clear()
                await self._writable.wait()
                continue
            piece = data[start : start + min(PIECE, self._credit)]
            self._carrier.send(protocol.LINK_BYTES, self.ident, piece)
            self._credit -= len(piece)
            start += len(piece)

    def end(self) -> None:
        """Say that nothing more is written."""
        if not self._closed and not self._said_end:
            self._said_end = True
            self._carrier.send(protocol.LINK_ENDED, self.ident)

    async def while_open(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work. Raises what it raises, and LinkClosed, with the work cancelled, when the
        connection is gone meanwhile."""
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            elif self._closed:
                raise self._closed
        finally:
            task.cancel()
            gone.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)

    async def farewell(self) -> None:
        """Close it so that the inside reads what was written: closing with something unread would
        take it away."""
        self.end()
        left = FAREWELL_BYTES
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                while left > 0 and (data := await self.read()):
                    left -= len(data)
        except TimeoutError:
            pass  # it does not care to see the end
        self._close(protocol.LINK_CLOSED, None)

    def abort(self, denied: Denied | None = None) -> None:
        """Close it at once, for both sides. Who waits for it gets a LinkClosed."""
        self._close(protocol.LINK_ABORTED, denied)

    # -- frames that came in ------------------------------------------------------------------

    def take(self, kind: int, payload: bytes) -> None:
        """Take a frame. Raises ProtocolError for one that breaks the agreement."""
        if kind == protocol.LINK_BYTES:
            self._granted -= len(payload)
            if self._granted < 0 or self._heard_end:
                raise protocol.ProtocolError("more bytes of a connection than were granted")
            self._arrived += payload
            self._readable.set()
        elif kind == protocol.LINK_ENDED:
            self._heard_end = True
            self._readable.set()
        elif kind == protocol.LINK_CREDIT and len(payload) == protocol.CREDIT.size:
            self._credit += protocol.CREDIT.unpack(payload)[0]
            if self._credit > protocol.LINK_WINDOW:
                raise protocol.ProtocolError("more credit for a connection than was used")
            self._writable.set()
        elif kind == protocol.LINK_CLOSED:
            self.lost(None)
        else:
            raise protocol.ProtocolError(f"a frame of the kind {kind} for a connection")

    def lost(self, denied: Denied | None) -> None:
        """It is gone, at the other end."""
        if self._closed is None:
            self._closed = LinkClosed(denied)
            self._forget(self.ident)
        self._gone.set()
        self._readable.set()
        self._writable.set()

    def _close(self, kind: int, denied: Denied | None) -> None:
        if self._closed is None:
            self._carrier.send(kind, self.ident)
            self.lost(denied)
