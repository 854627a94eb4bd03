"""The inner end of the way out: connections that commands make to a port of the loopback, carried
as frames. It parses nothing; what may be reached is decided on the host.

How much is in flight is bounded by credit, for each connection and both ways: a command that does
not read, or a host that does not, holds up its own connection and no memory.
"""

from __future__ import annotations

import _socket as socket  # which that module wraps, and loads much for it
import struct

from sandbox import protocol
from sandbox.supervisor.light import READ, WRITE, Selector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = "127.0.0.1"
CHUNK = 64 * 1024
BACKLOG = 128
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: a close resets the connection


class Link:
    """One accepted connection."""

    def __init__(self, ident: int, connection: socket.socket) -> None:
        self.ident = ident
        self.connection = connection
        self.to_write = bytearray()
        self.owed = 0  # bytes written that the host has no credit for yet
        self.credit = protocol.LINK_WINDOW  # bytes that may be read
        self.heard_end = False  # the command ended its side
        self.said_end = False  # the host ended its side
        self.closing = False
        self.interest = 0


class WayOut:
    """Listens, and carries bytes between connections and frames. Nothing here blocks."""

    def __init__(
        self,
        selector: Selector,
        send: Callable[[int, int, bytes], None],
        crowded: Callable[[], bool],
    ) -> None:
        """Nothing listens before `listen`. `crowded` tells whether the stream to the host holds all
        that it should."""
        self._selector = selector
        self._send = send
        self._crowded = crowded
        self._limit = 0
        self._links: dict[int, Link] = {}
        self._held: set[Link] = set()
        self._next = 1
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listening = False
        self._starved = False  # there was no descriptor for a connection

    def listen(self, port: int, limit: int) -> None:
        """Listen on a port. At most `limit` connections are open, more wait. Raises OSError."""
        self._limit = limit
        self._listener.bind((LOOPBACK, port))
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self._listen_on()

    def something_closed(self) -> None:
        """Try again to accept connections: there may be descriptors again."""
        self._starved = False
        self._listen_on()

    def _listen_on(self) -> None:
        more = len(self._links) < self._limit and not self._starved
        if more and not self._listening:
            self._selector.register(self._listener.fileno(), READ, self._accept)
            self._listening = True

    def read_on(self) -> None:
        """Go on with what was held up, for the stream has room again."""
        self._listen_on()
        held, self._held = self._held, set()
        for link in held:
            if link.ident in self._links:
                self._watch(link)

    def take(self, kind: int, ident: int, payload: bytes) -> None:
        """Take a frame of the host's. One for a connection that is gone was under way too long."""
        link = self._links.get(ident)
        if link is None:
            return
        if kind == protocol.LINK_BYTES:
            link.to_write += payload
        elif kind == protocol.LINK_CREDIT:
            link.credit += protocol.CREDIT.unpack(payload)[0]
        elif kind == protocol.LINK_ENDED:
            link.said_end = True
        elif kind == protocol.LINK_CLOSED:
            link.closing = True
        elif kind == protocol.LINK_ABORTED:
            link.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            self._drop(link)
            return
        self._write(link)

    def close_all(self) -> None:
        """Close every connection, those that wait included; go on listening."""
        for link in list(self._links.values()):
            self._gone(link)
        while self._limit:
            try:
                _accept(self._listener).close()
            except OSError:
                return

    def _accept(self) -> None:
        while len(self._links) < self._limit and not self._crowded():
            try:
                connection = _accept(self._listener)
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._starved = True
                break
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self._next, connection)
            self._next += 1
            self._links[link.ident] = link
            self._send(protocol.LINK_OPENED, link.ident, b"")
            self._watch(link)
        self._selector.unregister(self._listener.fileno())
        self._listening = False

    def _ready(self, link: Link) -> None:
        # What came before in this round may have ended it, and its descriptor be another's already.
        if link.interest & WRITE:
            self._write(link)
        if link.interest & READ:
            self._read(link)

    def _read(self, link: Link) -> None:
        if self._crowded():
            self._held.add(link)
            self._watch(link, held=True)
            return
        try:
            data = link.connection.recv(min(CHUNK, link.credit))
        except BlockingIOError:
            return
        except OSError:
            self._gone(link)
            return
        if data:
            link.credit -= len(data)
            self._send(protocol.LINK_BYTES, link.ident, data)
        else:
            link.heard_end = True
            self._send(protocol.LINK_ENDED, link.ident, b"")
        self._watch(link)

    def _write(self, link: Link) -> None:
        """Give the command what it takes; then what the host said comes after that."""
        try:
            while link.to_write:
                done = link.connection.send(link.to_write[:CHUNK])
                del link.to_write[:done]
                link.owed += done
        except BlockingIOError:
            pass
        except OSError:
            self._gone(link)
            return
        if link.owed >= protocol.LINK_WINDOW // 4:
            self._send(protocol.LINK_CREDIT, link.ident, protocol.CREDIT.pack(link.owed))
            link.owed = 0
        if not link.to_write and link.closing:
            self._drop(link)
            return
        if not link.to_write and link.said_end:
            link.said_end = False
            try:
                link.connection.shutdown(socket.SHUT_WR)
            except OSError:
                self._gone(link)
                return
        self._watch(link)

    def _watch(self, link: Link, held: bool = False) -> None:
        """Wait for what can be done for a connection now, and for nothing else."""
        may_read = link.credit > 0 and not (link.heard_end or link.closing or held)
        interest = (READ if may_read else 0) | (WRITE if link.to_write else 0)
        if interest == link.interest:
            return
        if not interest:
            self._selector.unregister(link.connection.fileno())
        elif not link.interest:
            self._selector.register(link.connection.fileno(), interest, lambda: self._ready(link))
        else:
            self._selector.modify(link.connection.fileno(), interest, lambda: self._ready(link))
        link.interest = interest

    def _gone(self, link: Link) -> None:
        self._send(protocol.LINK_CLOSED, link.ident, b"")
        self._drop(link)

    def _drop(self, link: Link) -> None:
        del self._links[link.ident]
        if link.interest:
            self._selector.unregister(link.connection.fileno())
            link.interest = 0
        link.connection.close()
        self.something_closed()


def _accept(listener: socket.socket) -> socket.socket:
    fd, _ = listener._accept()  # type: ignore[attr-defined]
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=fd)
