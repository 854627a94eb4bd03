"""The host's end of connections, against a supervisor that breaks the agreement."""

import asyncio
from collections.abc import Callable

import pytest

from sandbox import protocol
from sandbox.allowlist import Allowlist
from sandbox.egress.link import Link, LinkClosed
from sandbox.egress.record import Denied
from sandbox.egress.wayout import MOST_CONNECTIONS, WayOut
from sandbox.protocol import (
    CREDIT,
    LINK_ABORTED,
    LINK_BYTES,
    LINK_CLOSED,
    LINK_CREDIT,
    LINK_ENDED,
    LINK_OPENED,
    LINK_WINDOW,
)


class Frames:
    """What was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []

    def send(self, kind: int, ident: int, payload: bytes = b"") -> None:
        self.sent.append((kind, payload))

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def bytes(self) -> bytes:
        return b"".join(payload for kind, payload in self.sent if kind == LINK_BYTES)


def make() -> tuple[Link, Frames]:
    frames = Frames()
    return Link(1, frames, lambda ident: None), frames


async def test_no_more_is_sent_than_there_is_credit_for() -> None:
    link, frames = make()
    data = bytes(range(256)) * (LINK_WINDOW // 128)
    writing = asyncio.create_task(link.write(data))
    await asyncio.sleep(0.01)
    assert len(frames.bytes()) == LINK_WINDOW
    link.take(LINK_CREDIT, CREDIT.pack(1000))
    await asyncio.sleep(0.01)
    assert len(frames.bytes()) == LINK_WINDOW + 1000
    while not writing.done():
        link.take(LINK_CREDIT, CREDIT.pack(LINK_WINDOW))
        await asyncio.sleep(0.01)
    assert frames.bytes() == data


async def test_credit_is_given_for_what_was_read_only() -> None:
    link, frames = make()
    for _ in range(4):
        link.take(LINK_BYTES, bytes(LINK_WINDOW // 4))
    assert frames.sent == []
    with pytest.raises(protocol.ProtocolError, match="more bytes"):
        link.take(LINK_BYTES, b"x")
    link, frames = make()
    link.take(LINK_BYTES, bytes(LINK_WINDOW))
    read = 0
    while read < LINK_WINDOW:
        read += len(await link.read())
    given = sum(CREDIT.unpack(payload)[0] for kind, payload in frames.sent if kind == LINK_CREDIT)
    assert given == LINK_WINDOW
    link.take(LINK_BYTES, bytes(LINK_WINDOW))


def bytes_after_the_end(link: Link) -> None:
    link.take(LINK_ENDED, b"")
    link.take(LINK_BYTES, b"x")


@pytest.mark.parametrize(
    "breaks",
    [
        lambda link: link.take(LINK_BYTES, bytes(LINK_WINDOW + 1)),
        bytes_after_the_end,
        lambda link: link.take(LINK_CREDIT, CREDIT.pack(1)),
        lambda link: link.take(LINK_CREDIT, b"123"),
        lambda link: link.take(LINK_ABORTED, b""),
        lambda link: link.take(LINK_OPENED, b""),
    ],
)
async def test_a_frame_that_breaks_the_agreement_is_an_error(
    breaks: Callable[[Link], None],
) -> None:
    with pytest.raises(protocol.ProtocolError):
        breaks(make()[0])


async def test_what_came_before_the_end_is_read_first() -> None:
    link, _ = make()
    link.take(LINK_BYTES, b"abc")
    link.take(LINK_ENDED, b"")
    assert await link.read() == b"abc"
    assert await link.read() == b""


async def test_who_waits_is_told_when_it_is_gone() -> None:
    for act, why in (
        (lambda link: link.take(LINK_CLOSED, b""), "the inside closed"),
        (lambda link: link.abort(Denied("refused", 403, "used up")), "used up"),
    ):
        link, frames = make()
        await link.write(bytes(LINK_WINDOW))
        works = [link.read(), link.write(b"more"), link.while_open(asyncio.sleep(60))]
        waiting = [asyncio.create_task(work) for work in works]
        await asyncio.sleep(0.01)
        act(link)
        for task in waiting:
            with pytest.raises(LinkClosed, match=why):
                await task
        sent = len(frames.sent)
        link.end()
        link.abort()
        assert len(frames.sent) == sent


# -- all connections ----------------------------------------------------------------------------


def way_out() -> tuple[WayOut, Frames]:
    frames = Frames()
    return WayOut(Allowlist(), frames, total_bytes=1000), frames


async def test_connections_are_numbered_and_bounded() -> None:
    for first in (0, 2):
        with pytest.raises(protocol.ProtocolError):
            way_out()[0].take(LINK_OPENED, first, b"")
    out, _ = way_out()
    for ident in range(1, MOST_CONNECTIONS + 1):
        out.take(LINK_OPENED, ident, b"")
    with pytest.raises(protocol.ProtocolError):
        out.take(LINK_OPENED, MOST_CONNECTIONS + 1, b"")
    with pytest.raises(protocol.ProtocolError):
        out.take(LINK_BYTES, MOST_CONNECTIONS + 1, b"x")
    out.take(LINK_CLOSED, 1, b"")
    out.take(LINK_BYTES, 1, b"late")
    out.take(LINK_OPENED, MOST_CONNECTIONS + 1, b"")
    await out.close()


async def test_when_the_stream_ends_each_request_is_told_of() -> None:
    out, frames = way_out()
    out.take(LINK_OPENED, 1, b"")
    out.take(LINK_BYTES, 1, b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n")
    out.take(LINK_OPENED, 2, b"")
    while not out.requests:
        await asyncio.sleep(0.01)
    assert (out.requests[0].host, out.requests[0].outcome) == ("a.test", "refused")
    assert b"403" in frames.bytes()
    out.lost()
    await out.close()
    assert len(out.requests) == 1
