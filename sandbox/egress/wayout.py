"""The way out of one sandbox: its connections, from the frames that open them to their end."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence

from sandbox import protocol
from sandbox.allowlist import Allowlist
from sandbox.egress.gate import Gate
from sandbox.egress.link import Carrier, Link, LinkClosed
from sandbox.egress.proxy import serve
from sandbox.egress.record import Denied, NetworkRequest

#: Connections of one sandbox at a time; more wait.
MOST_CONNECTIONS = 64
#: In all, for not every one brings a request.
_MOST_OPENED = 100_000


class WayOut:
    """Serves the connections that a sandbox's supervisor reports. Belongs to one event loop.

    `on_request` is told of each request when it has ended; the last ones are in `requests`. The
    proxies that stand before this machine are in `environment`.
    """

    def __init__(
        self,
        allowlist: Allowlist,
        carrier: Carrier,
        *,
        total_bytes: int,
        on_request: Callable[[NetworkRequest], None] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._gate = Gate(allowlist, total_bytes, on_request, self._end_all, environment)
        self._carrier = carrier
        self._links: dict[int, Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = 0

    @property
    def requests(self) -> Sequence[NetworkRequest]:
        """The last requests that have ended, the oldest first."""
        return tuple(self._gate.requests)

    def take(self, kind: int, ident: int, payload: bytes) -> None:
        """Take a frame of the supervisor's. Raises ProtocolError for one that it must not send."""
        if kind == protocol.LINK_OPENED:
            self._open(ident)
            return
        if not 0 < ident <= self._opened:
            raise protocol.ProtocolError(f"the connection {ident}, which was not opened")
        link = self._links.get(ident)
        if link is not None:  # it may just have been closed here
            link.take(kind, payload)

    def lost(self) -> None:
        """The stream to the supervisor has ended."""
        self._end_all(Denied("failed", 502, "the sandbox has ended"))

    async def close(self) -> None:
        """End all connections; when this returns, each request was told of."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _open(self, ident: int) -> None:
        if ident != self._opened + 1 or len(self._links) >= MOST_CONNECTIONS:
            raise protocol.ProtocolError(f"the connection {ident}, which cannot be")
        self._opened = ident
        link = Link(ident, self._carrier, self._forget)
        self._links[ident] = link
        if self._gate.closed or ident > _MOST_OPENED:
            link.abort()
            return
        task = asyncio.create_task(self._serve(link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, link: Link) -> None:
        try:
            await serve(link, self._gate)
        except LinkClosed:
            return  # and its request was told of
        finally:
            link.abort()

    def _forget(self, ident: int) -> None:
        del self._links[ident]

    def _end_all(self, denied: Denied) -> None:
        for link in list(self._links.values()):
            link.abort(denied)
