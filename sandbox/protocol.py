"""The frames between the host and a sandbox's supervisor, and the file records they carry.

Both sides use this module: the supervisor's copy is sent in as source and runs on Python 3.7 and
later with the standard library only. A frame is a length, a kind, the number of the request it
belongs to, and a payload. Lengths are checked before anything is allocated; whatever breaks the
format raises ProtocolError, after which the stream must not be used any more.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct(">IBI")
RECORD = struct.Struct(">BHBQ")
MAX_PAYLOAD = 1 << 20
MAX_ID_BYTES = 32
# The supervisor's modules come first: their length in ASCII digits, then they.
LENGTH_DIGITS = 10

# What the host sends.
REQUEST = 1  # JSON: {"op": name, ...}
INPUT = 2  # bytes that belong to a request: a command's input, records
END = 3  # no more INPUT for this request
CANCEL = 4  # stop this request
PING = 5  # the host is alive
# What the supervisor sends.
REPLY = 16  # JSON: the request's result; nothing of it follows
OUTPUT = 17  # bytes of a request, as they come
TAIL = 18  # the last bytes of a command's output, when not all were sent
EVENTS = 19  # bytes that a command wrote to its events pipe
PONG = 30  # the supervisor is alive: its answer to a PING

# What both send of a connection on the way out; the number is the connection's, not a request's.
LINK_OPENED = 32  # the supervisor's: a command has connected
LINK_BYTES = 33  # bytes as they come, as many as there is credit for
LINK_ENDED = 34  # no more LINK_BYTES this way
LINK_CLOSED = 35  # gone; from the host: to be closed when all before it is written
LINK_ABORTED = 36  # the host's: to be closed at once
LINK_CREDIT = 37  # so many more bytes may come this way, as CREDIT packs it
CREDIT = struct.Struct(">I")
# The credit that a connection begins with, both ways.
LINK_WINDOW = 256 * 1024

HOST_KINDS = frozenset((REQUEST, INPUT, END, CANCEL, PING))
SUPERVISOR_KINDS = frozenset((REPLY, OUTPUT, TAIL, EVENTS, PONG))
LINK_KINDS = frozenset(
    (LINK_OPENED, LINK_BYTES, LINK_ENDED, LINK_CLOSED, LINK_ABORTED, LINK_CREDIT)
)

# Kinds of a record.
DELETED = 0
FILE = 1
EXECUTABLE = 2
SYMLINK = 3


class ProtocolError(Exception):
    """The other side sent what the protocol does not allow."""


def encode(kind: int, ident: int, payload: bytes = b"") -> bytes:
    """One frame. `payload` has at most MAX_PAYLOAD bytes."""
    if len(payload) > MAX_PAYLOAD:
        raise ProtocolError(f"a payload of {len(payload)} bytes is too large to send")
    return HEADER.pack(len(payload), kind, ident) + payload


class Decoder:
    """Cuts a byte stream into frames; takes only the kinds given."""

    def __init__(self, kinds: frozenset[int]) -> None:
        self._kinds = kinds
        self._buffer = bytearray()

    def allow(self, kinds: frozenset[int]) -> None:
        """Take these kinds, too, from now on."""
        self._kinds |= kinds

    def feed(self, data: bytes | memoryview) -> list[tuple[int, int, bytes]]:
        """The frames that `data` completes: kind, request number, payload.

        Raises ProtocolError on an unknown kind or a length over MAX_PAYLOAD.
        """
        buffer = self._buffer
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= HEADER.size:
            length, kind, ident = HEADER.unpack_from(buffer, start)
            if kind not in self._kinds:
                raise ProtocolError(f"a frame of the unknown kind {kind}")
            if length > MAX_PAYLOAD:
                raise ProtocolError(f"a frame of {length} bytes")
            end = start + HEADER.size + length
            if len(buffer) < end:
                break
            with memoryview(buffer) as view:
                frames.append((kind, ident, bytes(view[start + HEADER.size : end])))
            start = end
        del buffer[:start]
        return frames


def encode_record(kind: int, path: bytes, content: bytes = b"", identity: bytes = b"") -> bytes:
    """One file for a tree: kind, path, content (a link's target), and the git id of the content
    when it is known."""
    return RECORD.pack(kind, len(path), len(identity), len(content)) + path + identity + content


class RecordDecoder:
    """Cuts a byte stream into file records without ever holding a whole large file.

    `feed` gives pieces: (kind, path, identity, size, chunk, offset); a record gives at least one
    piece, the first at offset 0, and is complete when offset + len(chunk) equals size.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._current: tuple[int, bytes, bytes, int] | None = None
        self._offset = 0

    @property
    def idle(self) -> bool:
        """Whether the stream ended at the end of a record."""
        return self._current is None and not self._rest

    def feed(self, data: bytes) -> list[tuple[int, bytes, bytes, int, bytes, int]]:
        """The pieces in `data`. Raises ProtocolError on an unknown kind or a malformed head."""
        data = self._rest + data if self._rest else data
        pieces = []
        start = 0
        while True:
            if self._current is None:
                start = self._read_head(data, start)
                if self._current is None:
                    break
            kind, path, identity, size = self._current
            chunk = data[start : start + size - self._offset]
            if not chunk and size:
                break
            pieces.append((kind, path, identity, size, chunk, self._offset))
            start += len(chunk)
            self._offset += len(chunk)
            if self._offset < size:
                break
            self._current = None
        self._rest = data[start:]
        return pieces

    def _read_head(self, data: bytes, start: int) -> int:
        if len(data) - start < RECORD.size:
            return start
        kind, path_length, id_length, size = RECORD.unpack_from(data, start)
        if kind not in (DELETED, FILE, EXECUTABLE, SYMLINK) or not path_length:
            raise ProtocolError("a malformed file record")
        if id_length > MAX_ID_BYTES or (kind in (DELETED, SYMLINK) and size > MAX_PAYLOAD):
            raise ProtocolError("a malformed file record")
        end = start + RECORD.size + path_length + id_length
        if len(data) < end:
            return start
        path = data[start + RECORD.size : end - id_length]
        self._current = (kind, path, data[end - id_length : end], size)
        self._offset = 0
        return int(end)
