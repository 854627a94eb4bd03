"""The host's end of the stream, against an engine that lies, stalls or breaks off."""

import asyncio
import json
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox import protocol
from sandbox.channel import Channel
from sandbox.engine import Address
from sandbox.errors import InfrastructureError

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def wrapped(data: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


@asynccontextmanager
async def listening(connected: Serve) -> AsyncIterator[Address]:
    """A socket as an engine's, answered by `connected` while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "docker.sock"
        server = await asyncio.start_unix_server(connected, path)
        try:
            yield Address(f"unix://{path}", "of the test")
        finally:
            server.close()


@asynccontextmanager
async def engine(serve: Serve) -> AsyncIterator[Address]:
    done = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await serve(reader, writer)
        await done.wait()
        writer.close()

    async with listening(connected) as address:
        try:
            yield address
        finally:
            done.set()


def says(*parts: bytes, end: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in (UPGRADED, *parts):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        if end:
            writer.close()

    return serve


async def ask(address: Address) -> object:
    channel = await Channel.attach(address, "1.41", "name")
    try:
        pending = channel.begin({"op": "x"}, lambda kind, payload: None)
        async with asyncio.timeout(2):
            return await channel.finish(pending)
    finally:
        await channel.close()


REPLY = protocol.encode(protocol.REPLY, 1, b'{"fine": 1}')


async def test_an_answer_is_taken_however_it_is_cut() -> None:
    stream = b"".join(wrapped(REPLY[n : n + 3]) for n in range(0, len(REPLY), 3))
    parts = [stream[n : n + 5] for n in range(0, len(stream), 5)]
    async with engine(says(*parts)) as address:
        assert await ask(address) == {"fine": 1}


async def test_silence_is_told_while_pings_go_unanswered_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sandbox.channel.PING_SECONDS", 0.02)
    monkeypatch.setattr("sandbox.channel.QUIET_SECONDS", 0.1)
    answers, told = asyncio.Event(), asyncio.Event()
    answers.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED)
        while await reader.readexactly(protocol.HEADER.size):
            if answers.is_set():
                writer.write(wrapped(protocol.encode(protocol.PONG, 0)))

    async def silent() -> None:
        told.set()
        channel.fail("it was paused", "paused")

    async with engine(serve) as address:
        channel = await Channel.attach(address, "1.41", "name", silent)
        await asyncio.sleep(0.3)
        assert not told.is_set()
        answers.clear()
        await asyncio.wait_for(told.wait(), 5)
        with pytest.raises(InfrastructureError, match="it was paused") as caught:
            channel.begin({"op": "x"}, lambda kind, payload: None)
        assert caught.value.cause == "paused"
        await channel.close()


@pytest.mark.parametrize(
    "stream",
    [
        wrapped(b"HTTP/1.1 500 nonsense that is no frame"),
        wrapped(protocol.HEADER.pack(2**31, protocol.REPLY, 1)),
        wrapped(protocol.encode(protocol.REQUEST, 1, b"{}")),
        wrapped(protocol.encode(protocol.REPLY, 1, b"not json")),
        wrapped(protocol.encode(protocol.REPLY, 1, b"[1]")),
        wrapped(protocol.encode(protocol.REPLY, 1, b"\xff\xfe")),
        wrapped(protocol.encode(protocol.REPLY, 7, b"{}")),
        wrapped(protocol.encode(protocol.REPLY, 0, b"{}")),
        wrapped(protocol.encode(protocol.LINK_OPENED, 1)),
        wrapped(protocol.encode(protocol.LINK_BYTES, 1, b"x")),
        wrapped(b"x", stream=9),
        struct.pack(">BxxxL", 1, 2**32 - 1) + b"\xff" * 100,
    ],
)
async def test_whatever_breaks_the_protocol_ends_the_channel(stream: bytes) -> None:
    async with engine(says(stream)) as address:
        with pytest.raises(InfrastructureError, match="broke the protocol") as caught:
            await ask(address)
        assert caught.value.cause == "protocol"


async def test_deeply_nested_json_ends_the_channel_and_no_more() -> None:
    text = b"[" * 200_000
    async with engine(says(wrapped(protocol.encode(protocol.REPLY, 1, text)))) as address:
        with pytest.raises(InfrastructureError, match="broke the protocol"):
            await ask(address)


async def test_a_stream_that_ends_says_what_the_container_said_last() -> None:
    said = wrapped(b"Traceback ...\nMemoryError: no more\n", stream=2)
    async with engine(says(said, end=True)) as address:
        with pytest.raises(InfrastructureError, match="MemoryError: no more"):
            await ask(address)


async def test_diagnostics_are_bounded() -> None:
    async with engine(says(*[wrapped(b"x" * 60_000, stream=2)] * 20, wrapped(REPLY))) as address:
        channel = await Channel.attach(address, "1.41", "name")
        await channel.finish(channel.begin({"op": "x"}, lambda kind, payload: None))
        assert len(channel.diagnostics) == 16 * 1024
        await channel.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 409 Conflict\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"x" * 100_000,
    ],
)
async def test_a_refused_attach_is_an_error(head: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)

    async with engine(serve) as address:
        with pytest.raises(InfrastructureError, match="did not attach") as caught:
            await Channel.attach(address, "1.41", "name")
        assert caught.value.cause == "engine"


async def test_a_container_that_is_gone_before_it_started_was_removed() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    async with engine(serve) as address:
        with pytest.raises(InfrastructureError, match="removed before it had started") as caught:
            await Channel.attach(address, "1.41", "name")
        assert caught.value.cause == "killed"


async def test_an_engine_that_does_not_answer_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sandbox.channel.ATTACH_SECONDS", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pass

    async with engine(serve) as address:
        with pytest.raises(InfrastructureError, match="did not attach"):
            await Channel.attach(address, "1.41", "name")


async def test_an_attach_that_was_given_up_leaves_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        ended.set()

    async with engine(serve) as address:
        attaching = asyncio.create_task(Channel.attach(address, "1.41", "name"))
        await asyncio.sleep(0.1)
        attaching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attaching
        await asyncio.wait_for(ended.wait(), 5)
        ended.clear()
        monkeypatch.setattr("sandbox.channel.ATTACH_SECONDS", 0.1)
        with pytest.raises(InfrastructureError, match="no answer"):
            await Channel.attach(address, "1.41", "name")
        await asyncio.wait_for(ended.wait(), 5)


async def test_bytes_that_nobody_waits_for_are_dropped() -> None:
    answers = [protocol.encode(protocol.OUTPUT, 1, b"late"), REPLY]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED)
        await reader.readexactly(protocol.HEADER.size)
        await asyncio.sleep(0.1)
        writer.write(wrapped(b"".join(answers)))
        writer.write(wrapped(protocol.encode(protocol.REPLY, 2, b"{}")))

    async with engine(serve) as address:
        channel = await Channel.attach(address, "1.41", "name")
        seen: list[bytes] = []
        first = channel.begin({"op": "x"}, lambda kind, payload: seen.append(payload))
        waiting = asyncio.create_task(channel.finish(first))
        await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        channel.drop(first)
        second = channel.begin({"op": "y"}, lambda kind, payload: None)
        assert await channel.finish(second) == {}
        assert seen == []
        await channel.close()


async def test_an_upload_goes_no_faster_than_the_stream_takes_it() -> None:
    release = asyncio.Event()
    received = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED)
        await release.wait()
        while data := await reader.read(1 << 20):
            received.extend(data)

    async with engine(serve) as address:
        channel = await Channel.attach(address, "1.41", "name")
        sent = 0

        def chunks():  # type: ignore[no-untyped-def]
            nonlocal sent
            for _ in range(32):
                sent += 1
                yield bytes(512 * 1024)

        uploading = asyncio.create_task(channel.upload(1, chunks()))
        await asyncio.sleep(0.1)
        assert sent < 16
        release.set()
        await uploading
        assert sent == 32
        await channel.close()


def test_a_request_is_json_in_one_frame() -> None:
    frame = protocol.encode(protocol.REQUEST, 1, json.dumps({"path": "\udcff"}).encode("ascii"))
    ((_, _, payload),) = protocol.Decoder(protocol.HOST_KINDS).feed(frame)
    assert json.loads(payload) == {"path": "\udcff"}


async def test_connections_are_taken_where_there_is_a_way_out_only() -> None:
    taken: list[tuple[int, int, bytes]] = []
    lost: list[bool] = []

    class Links:
        def take(self, kind: int, ident: int, payload: bytes) -> None:
            if payload == b"bad":
                raise protocol.ProtocolError("as a link would")
            taken.append((kind, ident, payload))

        def lost(self) -> None:
            lost.append(True)

    go_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED)
        await go_on.wait()
        for frame in ((protocol.LINK_OPENED, 7, b""), (protocol.LINK_BYTES, 7, b"bad")):
            writer.write(wrapped(protocol.encode(*frame)))

    async with engine(serve) as address:
        channel = await Channel.attach(address, "1.41", "name")
        channel.carry(Links())
        go_on.set()
        async with asyncio.timeout(5):
            await channel.ended.wait()
        assert taken == [(protocol.LINK_OPENED, 7, b"")]
        assert lost == [True]
        assert "as a link would" in channel.failure
        await channel.close()
