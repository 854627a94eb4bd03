"""One connection of the inside, as an HTTP proxy answers it: each request is read, checked, carried
out or refused, and logged."""

import asyncio

import h11

from sandbox.egress.forward import forward
from sandbox.egress.gate import Gate
from sandbox.egress.link import Link, LinkClosed
from sandbox.egress.record import Denied, Exchange
from sandbox.egress.target import read_target
from sandbox.egress.tunnel import tunnel

HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 30.0
#: How long a connection may wait for its next request.
BETWEEN_SECONDS = 60.0
_LONGEST_METHOD = 32
_LONGEST_REASON = 200


async def serve(link: Link, gate: Gate) -> None:
    """Answer the requests of one connection to its end. Raises LinkClosed when it ends early."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    seconds = HEAD_SECONDS
    while request := await _next_request(link, connection, seconds):
        if not await _handle(link, connection, gate, request):
            break
        connection.start_next_cycle()
        seconds = BETWEEN_SECONDS
    await link.farewell()


async def _next_request(
    link: Link, connection: h11.Connection, seconds: float
) -> h11.Request | Denied | None:
    """The head of the next request, why it is none, or None when there is no other."""
    try:
        async with asyncio.timeout(seconds):
            while (event := connection.next_event()) is h11.NEED_DATA:
                connection.receive_data(await link.read())
    except TimeoutError:
        return None
    except h11.RemoteProtocolError as error:
        return Denied("refused", error.error_status_hint, f"that is no HTTP request: {error}")
    return event if isinstance(event, h11.Request) else None


async def _handle(
    link: Link, connection: h11.Connection, gate: Gate, request: h11.Request | Denied
) -> bool:
    """Carry out one request and log it; whether another may follow."""
    method = "" if isinstance(request, Denied) else request.method.decode("ascii")
    exchange = gate.begin(method[:_LONGEST_METHOD])
    try:
        if isinstance(request, Denied):
            raise request
        await link.while_open(_carry_out(link, connection, gate, exchange, request))
    except Denied as denied:
        gate.log(exchange.ended(denied.outcome, denied.why))
        await _answer(link, connection, denied, method)
        return False
    except LinkClosed as closed:
        if closed.denied:
            gate.log(exchange.ended(closed.denied.outcome, closed.denied.why))
        elif connection.our_state is h11.SWITCHED_PROTOCOL:
            gate.log(exchange.ended("ok"))  # how programs end a tunnel that they are done with
        else:
            gate.log(exchange.ended("failed", str(closed)))
        raise
    except BaseException as error:
        cancelled = isinstance(error, asyncio.CancelledError)
        why = "the sandbox was closed" if cancelled else f"a fault of greenroom: {error!r}"
        gate.log(exchange.ended("failed", why))
        raise
    gate.log(exchange.ended("ok"))
    return connection.our_state is connection.their_state is h11.DONE


async def _carry_out(
    link: Link,
    connection: h11.Connection,
    gate: Gate,
    exchange: Exchange,
    request: h11.Request,
) -> None:
    gate.check()
    target = read_target(request, gate.allowlist, exchange)
    if target.path:
        await forward(link, connection, gate, exchange, request, target)
    else:
        await tunnel(link, connection, gate, exchange, request, target)


async def _answer(link: Link, connection: h11.Connection, denied: Denied, method: str) -> None:
    """Tell the inside that a request was not carried out."""
    if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        link.abort(denied)  # it is in the middle of another answer
        return
    # Clients show the reason of a refused CONNECT, and not the body.
    reason = "".join(c if c.isascii() and c.isprintable() else "?" for c in denied.told)
    body = f"Greenroom: {denied.told}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    response = h11.Response(
        status_code=denied.status, reason=reason[:_LONGEST_REASON], headers=headers
    )
    data = connection.send(response) or b""
    if method != "HEAD":
        data += connection.send(h11.Data(body)) or b""
    await link.write(data)
