"""A sandbox's engine, played at the network's edge: right answers, wrong ones, or none."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import Any

from hypothesis import strategies as st

from sandbox import protocol
from sandbox.channel import DOCKER_HEADER, Channel
from sandbox.engine import Address
from sandbox.errors import InfrastructureError
from tests.sandbox.test_channel import UPGRADED, listening, wrapped

HANGING = 10.0


class Lent:
    """What a sandbox needs of its container."""

    name = "played"

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    async def explained(self, error: InfrastructureError) -> InfrastructureError:
        return error

    async def gave_no_answer(self, seconds: float) -> InfrastructureError:
        self.channel.fail(f"it did not answer within {seconds:g} seconds", "silent")
        return self.channel.error


ENDED = {
    **{"status": 0, "stage": 0, "errno": 0, "reason": "", "oom_kills": 0, "seconds": 0.1},
    **{"cpu_seconds": 0.1, "max_rss_bytes": 1, "total": None, "events_total": 0},
}


def one_of(*values: Any) -> st.SearchStrategy[Any]:
    """One of some values, however long: `sampled_from` writes them all out to describe itself."""
    return st.integers(0, len(values) - 1).map(values.__getitem__)


numbers = st.integers() | one_of(-1, 2, 2**31, 2**63, 2**70, 10**400) | st.floats()
paths = st.text(max_size=8) | one_of(
    *(
        "a.py",
        "new",
        "../up",
        "/etc",
        "x/.git/y",
        "\ud800",
        "\udcff",
        "a\0b",
        "a/" * 5000,
        "x" * 5000,
    )
)
scalars = numbers | paths | st.none() | st.booleans()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(paths, inner, max_size=4)
)


def listed(*columns: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    row = st.tuples(*columns).map(list)
    return st.lists(row, max_size=4) | values


def altered(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """An object of the agreed form, with some fields wrong or missing."""
    right = st.fixed_dictionaries(fields)
    wrong = st.dictionaries(st.sampled_from(sorted(fields)), values, max_size=2)
    missing = st.sets(st.sampled_from(sorted(fields)), max_size=1)
    return st.builds(
        lambda *parts: {k: v for k, v in {**parts[0], **parts[1]}.items() if k not in parts[2]},
        right,
        wrong,
        missing,
    )


errors = st.fixed_dictionaries({"error": altered({"errno": numbers, "text": paths}) | values})
ended = altered({name: st.just(value) for name, value in ENDED.items()})
replies = ended | errors | values
kinds = st.sampled_from(["file", "link", "folder", ""])
reports = altered(
    {
        "changed": listed(paths, kinds, st.integers(0, 50) | numbers, st.booleans()),
        "deleted": st.lists(paths, max_size=3),
        "notes": listed(paths, paths),
    }
)
listings = altered({"entries": listed(paths, kinds, numbers), "truncated": st.booleans()})
match = st.tuples(paths, numbers, paths).map(list) | values
matches = st.lists(match.map(json.dumps), max_size=4).map("\n".join)
records = st.lists(
    st.builds(
        protocol.encode_record,
        st.integers(0, 4),
        st.sampled_from([b"a.py", b"new", b"\xff", b""]),
        st.binary(max_size=60),
        st.sampled_from([b"", bytes(20), bytes(40)]),
    ),
    max_size=3,
).map(b"".join)
odd_texts = one_of(
    *('{"status":0,"status":1e400}', "[" * 100_000, '{"a":' * 10_000, "NaN", "9" * 5000, ""),
    *('{"errno":NaN}', '{"too_many":1e999}', '{"entries":[["a","b",1e999]],"truncated":0}'),
    *("{}", '{"error":{}}', '{"error":{"errno":1e999,"text":1}}', "\ufeff{}", "\0"),
)
objects = st.one_of(replies, reports, listings).map(json.dumps) | odd_texts
texts = (objects | matches).map(lambda text: text.encode("utf-8", "surrogatepass")) | (
    objects.map(lambda text: text.encode("utf-16", "surrogatepass"))
)
payloads = texts | records | st.binary(max_size=200)
idents = st.sampled_from([0, 1, 1, 1, 1, 2, 2, 3, 2**32 - 1])
well_formed = st.builds(
    protocol.encode, st.sampled_from(sorted(protocol.SUPERVISOR_KINDS)), idents, payloads
)
lying = st.builds(
    lambda length, kind, ident, rest: protocol.HEADER.pack(length, kind, ident) + rest,
    st.sampled_from([0, 1, 100, 1 << 20, (1 << 20) + 1, 2**32 - 1]),
    st.integers(0, 255),
    idents,
    st.binary(max_size=50),
)
headers = st.builds(
    DOCKER_HEADER.pack, st.sampled_from([0, 1, 2, 3, 255]), st.sampled_from([0, 1, 99, 2**32 - 1])
)
complaints = st.binary(max_size=50).map(lambda text: wrapped(text, stream=2))
said = (well_formed | well_formed | lying | st.binary(max_size=30)).map(wrapped)
parts = said | said | said | complaints | headers | st.binary(max_size=30)


noise = st.just(b"") | st.lists(parts, max_size=4).map(b"".join)


@dataclass(frozen=True)
class Answer:
    """What is answered to a request: a body and a reply such as its operation has, or what has
    nothing to do with it; all but some of the end, in pieces."""

    bodies: dict[str, bytes]
    ended: dict[str, Any]
    reply: Any
    noise: bytes
    missing: int
    sizes: list[int]

    def pieces(self, op: str, ident: int) -> list[bytes]:
        body = self.bodies.get(op, b"")
        reply = self.ended if op in ("run", "search", "shell") else self.reply
        if isinstance(reply, dict) and reply.get("total", 0) is None:
            reply = {**reply, "total": len(body)}
        frames = [(protocol.OUTPUT, body), (protocol.REPLY, json.dumps(reply).encode())]
        data = b"".join(
            wrapped(protocol.encode(kind, ident, text)) for kind, text in frames if text
        )
        data = self.noise + data
        data = data[: max(0, len(data) - self.missing)]
        starts = [0, *accumulate(self.sizes)]
        return [data[start:end] for start, end in zip_longest(starts, starts[1:])]


def body(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return texts.map(lambda text: text.encode("utf-8", "surrogatepass"))


answers = st.builds(
    Answer,
    bodies=st.fixed_dictionaries(
        {
            "changes": body(reports.map(json.dumps) | odd_texts),
            "list": body(listings.map(json.dumps) | odd_texts),
            "search": body(matches),
            "fetch": records,
            "read": st.binary(max_size=20),
            "run": st.binary(max_size=20),
            "write": st.binary(max_size=1),
        }
    ),
    ended=ended | ended | errors | values,
    reply=st.just({}) | errors | values,
    noise=st.just(b"") | noise,
    missing=st.just(0) | st.just(0) | st.integers(0, 40),
    sizes=st.lists(st.integers(1, 40)),
)


@asynccontextmanager
async def played(answers: Sequence[Answer], *, ends: bool) -> AsyncIterator[Address]:
    """An engine that gives one answer to each request; then it ends the stream, or is silent."""
    connections = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(UPGRADED)
        decoder = protocol.Decoder(protocol.HOST_KINDS)
        left = list(answers)
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                for kind, ident, payload in decoder.feed(data):
                    if kind == protocol.REQUEST and left:
                        request = json.loads(payload)
                        await say(writer, left.pop(0).pieces(request["op"], ident))
                if ends and not left:
                    break
        writer.close()

    async with listening(connected) as address:
        try:
            yield address
        finally:
            await asyncio.wait_for(asyncio.gather(*connections), HANGING)


async def say(writer: asyncio.StreamWriter, pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
