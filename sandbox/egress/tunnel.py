"""A CONNECT: bytes in both directions, after a look at whom a TLS connection is for."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import h11

from sandbox.egress.dial import Outside
from sandbox.egress.gate import Gate
from sandbox.egress.hello import ACCESS_DENIED, LARGEST, NoHello, server_name
from sandbox.egress.link import PIECE, Link
from sandbox.egress.record import Denied, Exchange
from sandbox.egress.target import Target

IDLE_SECONDS = 300.0
HELLO_SECONDS = 30.0
TLS_PORT = 443
#: The headers that say where a message ends.
LENGTH, ENCODING = b"content-length", b"transfer-encoding"


async def tunnel(
    link: Link,
    connection: h11.Connection,
    gate: Gate,
    exchange: Exchange,
    request: h11.Request,
    target: Target,
) -> None:
    """Connect, answer, and carry bytes until both sides have ended. Raises Denied, LinkClosed."""
    if any(name in (LENGTH, ENCODING) for name, _ in request.headers):
        raise Denied("refused", 400, "a CONNECT with a body")
    connection.next_event()  # its end
    outside = await gate.dialer.open(target, exchange)
    try:
        established = h11.Response(status_code=200, reason="Connection established", headers=[])
        await link.write(connection.send(established) or b"")
        first, _ = connection.trailing_data
        if target.port == TLS_PORT:
            first = await _hello(link, first, str(target.host))
        await _carry(link, outside, gate, exchange, first)
        await outside.finish()
    finally:
        outside.abort()


async def _hello(link: Link, first: bytes, host: str) -> bytes:
    """The bytes of a ClientHello that asks for `host`, or for no name. Raises Denied."""
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            while (name := server_name(first)) is None:
                more = await link.read()
                if not more or len(first) > LARGEST:
                    raise NoHello("no whole ClientHello")
                first += more
        if name in ("", host):
            return first
        why = f"a TLS connection through {host} asked for {name[:255]}"
    except NoHello as error:
        why = f"what went to port {TLS_PORT} was no TLS: {error}"
    except TimeoutError:
        why = f"nothing of TLS came within {HELLO_SECONDS:g} seconds"
    await link.write(ACCESS_DENIED)
    await link.farewell()
    raise Denied("refused", 403, why)


async def _carry(
    link: Link, outside: Outside, gate: Gate, exchange: Exchange, first: bytes
) -> None:
    loop = asyncio.get_running_loop()
    ended = False

    async def out() -> None:
        data = first or await link.read()
        while data:
            idle.reschedule(loop.time() + IDLE_SECONDS)
            gate.count(exchange, sent=len(data))
            outside.writer.write(data)
            await outside.writer.drain()
            data = await link.read()
        if outside.writer.can_write_eof():
            outside.writer.write_eof()

    async def back() -> None:
        nonlocal ended
        while data := await outside.reader.read(PIECE):
            idle.reschedule(loop.time() + IDLE_SECONDS)
            gate.count(exchange, received=len(data))
            await link.write(data)
        ended = True
        link.end()

    try:
        async with asyncio.timeout(IDLE_SECONDS) as idle:
            await together(out(), back())
    except TimeoutError:
        raise Denied("failed", 504, f"nothing was sent for {IDLE_SECONDS:g} seconds") from None
    except OSError as error:
        # Many servers are gone when a client says goodbye to them.
        if not ended:
            why = f"the connection to {exchange.host} broke off: {error.strerror or error}"
            raise Denied("failed", 502, why) from error


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run works side by side. When one raises, the others are cancelled, and that is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
