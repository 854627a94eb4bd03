"""A request in plain HTTP: read whole, and written anew to a connection of its own, so that nothing
reaches a server that was not read as a request here."""

import asyncio
from collections.abc import Iterable

import h11

from sandbox.egress.dial import HEAD_BYTES, Outside, Proxy
from sandbox.egress.gate import Gate
from sandbox.egress.link import PIECE, Link
from sandbox.egress.record import Denied, Exchange
from sandbox.egress.target import Target
from sandbox.egress.tunnel import ENCODING, IDLE_SECONDS, LENGTH

#: What belongs to one connection and not to a message; `proxy-` stands for all that begin so.
_HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"expect"))
_Headers = list[tuple[bytes, bytes]]


async def forward(
    link: Link,
    inner: h11.Connection,
    gate: Gate,
    exchange: Exchange,
    request: h11.Request,
    target: Target,
) -> None:
    """Carry out one request. Raises Denied, LinkClosed."""
    names = {name for name, _ in request.headers}
    if LENGTH in names and ENCODING in names:
        raise Denied("refused", 400, "a request that tells its length in two ways")
    outside = await gate.dialer.open(target, exchange)
    try:
        work = _Forward(link, inner, outside, gate, exchange)
        await work.run(_rewritten(request, target, outside.proxy))
    except h11.ProtocolError as error:
        why = f"{exchange.host} answered what is not HTTP: {error}"
        raise Denied("failed", 502, why) from error
    except OSError as error:
        why = f"the connection to {exchange.host} broke off: {error.strerror or error}"
        raise Denied("failed", 502, why) from error
    finally:
        outside.abort()  # the answer is there, or there will be none


class _Forward:
    """The two HTTP connections of one request, and the bytes between them."""

    def __init__(
        self,
        link: Link,
        inner: h11.Connection,
        outside: Outside,
        gate: Gate,
        exchange: Exchange,
    ) -> None:
        self._link = link
        self._inner = inner
        self._outer = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self._outside = outside
        self._gate = gate
        self._exchange = exchange
        self._idle = asyncio.timeout(IDLE_SECONDS)

    async def run(self, request: h11.Request) -> None:
        """Send the request on and its response back."""
        try:
            async with self._idle:
                await self._to_outside(self._outer.send(request))
                upload = asyncio.ensure_future(self._upload())
                download = asyncio.ensure_future(self._download())
                try:
                    await asyncio.wait((upload, download), return_when=asyncio.FIRST_COMPLETED)
                    if upload.done():
                        upload.result()
                    await download
                finally:
                    # A response that came early leaves nothing to upload.
                    for task in (upload, download):
                        task.cancel()
                    await asyncio.gather(upload, download, return_exceptions=True)
        except TimeoutError:
            raise Denied("failed", 504, f"nothing was sent for {IDLE_SECONDS:g} seconds") from None

    async def _upload(self) -> None:
        while True:
            try:
                event = self._inner.next_event()
            except h11.RemoteProtocolError as error:
                raise Denied("refused", 400, f"a malformed body: {error}") from error
            if event is h11.NEED_DATA:
                if self._inner.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await self._link.write(self._inner.send(go_on) or b"")
                self._inner.receive_data(await self._link.read())
                continue
            part = h11.Data(event.data) if isinstance(event, h11.Data) else h11.EndOfMessage()
            try:
                await self._to_outside(self._outer.send(part))
            except OSError:
                return  # it takes no more of it, and its answer says why
            if isinstance(part, h11.EndOfMessage):
                return

    async def _download(self) -> None:
        while True:
            event = self._outer.next_event()
            if event is h11.NEED_DATA:
                data = await self._outside.reader.read(PIECE)
                self._gate.count(self._exchange, received=len(data))
                self._outer.receive_data(data)
            elif isinstance(event, h11.Response):
                headers = _end_to_end(event.headers.raw_items())
                answer = h11.Response(
                    status_code=event.status_code, reason=event.reason, headers=headers
                )
                await self._to_inside(answer)
            elif isinstance(event, h11.Data):
                await self._to_inside(h11.Data(event.data))
            elif isinstance(event, h11.EndOfMessage):
                await self._to_inside(h11.EndOfMessage())
                return
            elif not isinstance(event, h11.InformationalResponse):
                raise Denied("failed", 502, f"{self._exchange.host} closed without an answer")

    async def _to_outside(self, data: bytes | None) -> None:
        self._gate.count(self._exchange, sent=len(data or b""))
        self._outside.writer.write(data or b"")
        await self._outside.writer.drain()
        await self._alive()

    async def _to_inside(self, event: h11.Event) -> None:
        await self._link.write(self._inner.send(event) or b"")
        await self._alive()

    async def _alive(self) -> None:
        # Bodies can be cut into pieces of one byte: others have their turn between any two.
        await asyncio.sleep(0)
        self._idle.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS)


def _rewritten(request: h11.Request, target: Target, proxy: Proxy | None) -> h11.Request:
    """The request as the next server gets it: nothing in it that was for this one."""
    authority = str(target).removesuffix(":80")
    headers: _Headers = [(b"Host", authority.encode("ascii"))]
    headers += _end_to_end(request.headers.raw_items())
    if any(name == ENCODING for name, _ in request.headers):
        headers.append((b"Transfer-Encoding", b"chunked"))
    headers.append((b"Connection", b"close"))
    path = target.path
    if proxy:
        path = f"http://{authority}{path}"
        if proxy.authorization:
            headers.append((b"Proxy-Authorization", proxy.authorization.encode("ascii")))
    return h11.Request(method=request.method, target=path, headers=headers)


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> _Headers:
    """The headers of a message without those of its connection and of its framing, but for a length
    that counts."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    dropped = set(_HOP_BY_HOP) | {b"host", ENCODING}
    if ENCODING in names:
        dropped.add(LENGTH)
    for name, value in given:
        if name.lower() == b"connection":
            dropped |= {word.strip().lower() for word in value.split(b",")}
    return [
        (name, value)
        for name, value in given
        if name.lower() not in dropped and not name.lower().startswith(b"proxy-")
    ]
