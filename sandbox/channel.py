"""The host's end of a sandbox's stream: requests out, answers in, nothing trusted.

The stream is Docker's attach connection, hijacked from HTTP. What comes in carries Docker's
headers (stream, length) around our own frames. Whatever breaks either format, or the stream's end,
makes the channel dead: every waiting and later request raises InfrastructureError.

The supervisor answers each PING. One that does not may only be busy, for as long as its requests
may take; so who opened the channel is asked (`on_silence`) and may end it.
"""

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Protocol

from sandbox import protocol
from sandbox.ending import HINTS
from sandbox.engine import Address
from sandbox.errors import Cause, InfrastructureError, UsageError

DOCKER_HEADER = struct.Struct(">BxxxL")
STDOUT, STDERR = 1, 2
MAX_DIAGNOSTICS = 16 * 1024
MAX_HTTP_HEAD = 16 * 1024
INPUT_CHUNK = 512 * 1024
WRITE_BUFFER = 2 << 20
PING_SECONDS = 15.0
# Longer than between two pings: at least one has then gone unanswered.
QUIET_SECONDS = 20.0
ATTACH_SECONDS = 30.0


class Links(Protocol):
    """Who takes the frames of connections on the way out."""

    def take(self, kind: int, ident: int, payload: bytes) -> None:
        """Take a frame. Raises ProtocolError for one that must not be sent."""

    def lost(self) -> None:
        """The stream has ended."""


class Request:
    """An answer as it comes in. `on_data` takes OUTPUT, TAIL and EVENTS payloads; it may raise
    ProtocolError when they are too many."""

    def __init__(self, ident: int, on_data: Callable[[int, bytes], None]) -> None:
        self.ident = ident
        self.on_data = on_data
        self.answered = False
        self.reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()


class Channel(asyncio.Protocol):
    """Frames over one attach connection. Belongs to the event loop that opened it."""

    def __init__(self, name: str, on_silence: Callable[[], Awaitable[None]] | None = None) -> None:
        self._name = name
        self._on_silence = on_silence
        self._heard = time.monotonic()
        self._transport: asyncio.Transport | None = None
        self._head = bytearray()
        self._attached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = False
        self._docker = bytearray()
        self._left = 0
        self._stream = 0
        self._decoder = protocol.Decoder(protocol.SUPERVISOR_KINDS)
        self._requests: dict[int, Request] = {}
        self._links: Links | None = None
        self._next = 1
        self._failure = ""
        self._cause: Cause = ""
        self._diagnostics = bytearray()
        self._writable = asyncio.Event()
        self._writable.set()
        self._pings: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    @classmethod
    async def attach(
        cls,
        address: Address,
        api_version: str,
        container: str,
        on_silence: Callable[[], Awaitable[None]] | None = None,
    ) -> "Channel":
        """Attach to a container that was created and not started. `on_silence` is awaited again
        and again while pings go unanswered. Raises InfrastructureError."""
        loop = asyncio.get_running_loop()
        channel = cls(container[:12], on_silence)
        try:
            async with asyncio.timeout(ATTACH_SECONDS):
                if address.socket_path:
                    await loop.create_unix_connection(lambda: channel, address.socket_path)
                else:
                    host, port = address.host_and_port
                    await loop.create_connection(
                        lambda: channel, host, port, ssl=address.ssl_context()
                    )
                channel._ask_to_attach(api_version, container)
                await channel._attached
        except BaseException as error:
            await channel.close()
            if channel.cause == "killed":
                raise channel.error from error
            if not isinstance(error, OSError):  # TimeoutError is one
                raise
            raise InfrastructureError(
                f"The Docker engine did not attach to the sandbox: {str(error) or 'no answer'}",
                HINTS["engine"],
                cause="engine",
            ) from error
        channel._pings = asyncio.create_task(channel._ping())
        return channel

    # -- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what asyncio gives here
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER)

    def data_received(self, data: bytes) -> None:
        self._heard = time.monotonic()
        try:
            if not self._open:
                data = self._read_head(data)
            if self._open and data:
                self._demultiplex(data)
        except (protocol.ProtocolError, ValueError, RecursionError) as error:
            # Whatever the inside sends, the host survives it: the container is given up.
            self.fail(f"the supervisor broke the protocol: {error}", "protocol")

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(f"the stream ended ({error})" if error else "the container has ended")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- requests -----------------------------------------------------------------------------

    def begin(
        self,
        request: dict[str, Any],
        on_data: Callable[[int, bytes], None],
        *,
        ended: bool = False,
    ) -> Request:
        """Send a request; `ended` says that no bytes belong to it. Raises InfrastructureError on a
        dead channel, UsageError for a request (a command, a path, a pattern) that does not fit into
        one frame."""
        self._check()
        text = json.dumps(request).encode("ascii")
        if len(text) > protocol.MAX_PAYLOAD:
            raise UsageError(
                f"A command or path of {len(text):,} bytes is too long for a sandbox.",
                "Write it to a file, and name that.",
            )
        pending = Request(self._next, on_data)
        self._next += 1
        self._requests[pending.ident] = pending
        frames = protocol.encode(protocol.REQUEST, pending.ident, text)
        if ended:
            frames += protocol.encode(protocol.END, pending.ident)
        self.write(frames)
        return pending

    def send(self, kind: int, ident: int, payload: bytes = b"") -> None:
        """Send one frame."""
        self.write(protocol.encode(kind, ident, payload))

    def write(self, data: bytes) -> None:
        """Send raw bytes: the supervisor's source."""
        if self._transport is not None and not self._failure:
            self._transport.write(data)

    async def upload(self, ident: int, chunks: Iterable[bytes] | AsyncIterator[bytes]) -> None:
        """Send what belongs to a request, at the pace that the stream takes it, and its end."""
        if isinstance(chunks, AsyncIterator):
            async for chunk in chunks:
                await self._send_input(ident, chunk)
        else:
            for chunk in chunks:
                await self._send_input(ident, chunk)
        self.send(protocol.END, ident)

    def carry(self, links: Links) -> None:
        """Take frames of connections on the way out, too, and hand them to `links`."""
        self._links = links
        self._decoder.allow(protocol.LINK_KINDS)

    async def drain(self) -> None:
        """Wait while the stream takes nothing more."""
        await self._writable.wait()

    def send_input(self, ident: int, data: bytes) -> None:
        """Send a few bytes that belong to a request, at once."""
        self.send(protocol.INPUT, ident, data)

    def end_input(self, ident: int) -> None:
        """Say that nothing more belongs to a request."""
        self.send(protocol.END, ident)

    def pause_reading(self) -> None:
        """Take nothing more from the stream until `resume_reading`."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._failure and not self._transport.is_reading():
            self._transport.resume_reading()

    async def finish(self, pending: Request) -> dict[str, Any]:
        """Wait for a request's reply. Cancelling the wait forgets the request."""
        try:
            return await pending.reply
        finally:
            self._requests.pop(pending.ident, None)

    def drop(self, pending: Request) -> None:
        """Tell the supervisor to stop a request, and take nothing more of it but its end."""
        pending.on_data = _ignore
        if not pending.answered and not self._failure:
            self._requests[pending.ident] = pending
            self.send(protocol.CANCEL, pending.ident)

    async def close(self) -> None:
        """Close the stream; the supervisor sees its end and exits."""
        self.fail("the sandbox was closed", "closed")
        if self._pings is not None:
            self._pings.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pings

    @property
    def failure(self) -> str:
        """Why the channel is dead, "" while it lives."""
        return self._failure

    @property
    def cause(self) -> Cause:
        """What took the container away; "" while it lives, and after a stream's mere end."""
        return self._cause

    @property
    def error(self) -> InfrastructureError:
        """What a request to a dead channel raises."""
        said = self.diagnostics.strip().splitlines()
        more = f" It said: {said[-1]}" if said else ""
        return InfrastructureError(
            f"The sandbox {self._name} is gone: {self._failure}.{more}",
            HINTS.get(self._cause, ""),
            cause=self._cause,
        )

    def fail(self, why: str, cause: Cause = "") -> None:
        """End a living channel: all that waits, and all that comes, raises InfrastructureError."""
        if not self._failure:
            self._failure, self._cause = why, cause
            self._end()

    def explain(self, why: str, cause: Cause) -> None:
        """Say of a stream that just ended what was found out since."""
        self._failure, self._cause = why, cause

    @property
    def diagnostics(self) -> str:
        """What the container wrote to its standard error: nothing, unless the supervisor failed."""
        return self._diagnostics.decode("utf-8", "replace")

    # -- inner --------------------------------------------------------------------------------

    def _ask_to_attach(self, api_version: str, container: str) -> None:
        self.write(
            f"POST /v{api_version}/containers/{container}/attach"
            "?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\n"
            "Host: docker\r\nContent-Length: 0\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode("ascii")
        )

    def _read_head(self, data: bytes) -> bytes:
        self._head += data
        head, separator, rest = bytes(self._head).partition(b"\r\n\r\n")
        if not separator:
            if len(self._head) > MAX_HTTP_HEAD:
                raise protocol.ProtocolError("no answer in HTTP")
            return b""
        status = head.split(b"\r\n", 1)[0].split(b" ")
        if status[1:2] == [b"404"]:
            self.fail("it was removed before it had started", "killed")
            return b""
        if len(status) < 2 or status[1] not in (b"101", b"200"):
            said = (head.split(b"\r\n", 1)[0] + b" " + rest[:600]).decode("utf-8", "replace")
            raise protocol.ProtocolError(f"attach was refused: {said}")
        self._open = True
        self._head.clear()
        if not self._attached.done():
            self._attached.set_result(None)
        return rest

    def _demultiplex(self, data: bytes) -> None:
        """Cut Docker's multiplexed stream; nothing is kept back but a partial header."""
        view = data if not self._docker else bytes(self._docker) + data
        self._docker.clear()
        start = 0
        while start < len(view):
            if not self._left:
                if len(view) - start < DOCKER_HEADER.size:
                    self._docker += view[start:]
                    return
                self._stream, self._left = DOCKER_HEADER.unpack_from(view, start)
                start += DOCKER_HEADER.size
                continue
            part = view[start : start + self._left]
            start += len(part)
            self._left -= len(part)
            if self._stream == STDOUT:
                for kind, ident, payload in self._decoder.feed(part):
                    self._take(kind, ident, payload)
            elif self._stream == STDERR:
                self._diagnostics += part[: MAX_DIAGNOSTICS - len(self._diagnostics)]
            else:
                raise protocol.ProtocolError(f"the stream number {self._stream}")

    def _take(self, kind: int, ident: int, payload: bytes) -> None:
        if self._links is not None and kind in protocol.LINK_KINDS:
            self._links.take(kind, ident, payload)
            return
        if kind == protocol.PONG:
            return
        if ident >= self._next or not ident:
            raise protocol.ProtocolError(f"an answer to the request {ident}, which was not made")
        pending = self._requests.get(ident)
        if pending is None:
            return
        if kind != protocol.REPLY:
            pending.on_data(kind, payload)
            return
        reply = json.loads(payload)
        if not isinstance(reply, dict):
            raise protocol.ProtocolError("a reply that is no object")
        del self._requests[ident]
        pending.answered = True
        if not pending.reply.done():
            pending.reply.set_result(reply)

    async def _send_input(self, ident: int, data: bytes) -> None:
        for start in range(0, len(data), INPUT_CHUNK):
            await self.drain()
            self._check()
            self.send(protocol.INPUT, ident, data[start : start + INPUT_CHUNK])

    async def _ping(self) -> None:
        while not self._failure:
            self.send(protocol.PING, 0)
            await asyncio.sleep(PING_SECONDS)
            if self._on_silence and time.monotonic() - self._heard > QUIET_SECONDS:
                await self._on_silence()

    def _check(self) -> None:
        if self._failure:
            raise self.error

    def _end(self) -> None:
        self.ended.set()
        self._writable.set()
        if self._transport is not None:
            self._transport.abort()
        if not self._attached.done():
            self._attached.set_exception(ConnectionError(self._failure))
            # What nobody waits for any more must not warn, here and below.
            self._attached.exception()
        for pending in self._requests.values():
            if not pending.reply.done():
                pending.reply.set_exception(self.error)
                pending.reply.exception()
        self._requests.clear()
        if self._links is not None:
            self._links.lost()


def _ignore(kind: int, payload: bytes) -> None:
    """Take nothing more of a dropped request."""
