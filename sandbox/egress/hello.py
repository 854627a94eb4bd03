"""The beginning of a TLS connection: which name its ClientHello asks for, in the clear."""

import struct

LARGEST = 32 * 1024  # bytes of it that are looked at
#: A fatal alert, "access denied": what a client understands of a connection that is refused.
ACCESS_DENIED = bytes((21, 3, 3, 0, 2, 2, 49))
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0
_RECORD = struct.Struct(">BHH")
_MOST_RECORD_BYTES = 1 << 14
_MOST_RECORDS = 16


class NoHello(Exception):
    """What came is no TLS ClientHello."""


def server_name(data: bytes) -> str | None:
    """The name that a ClientHello asks for, in lower case without a trailing dot; "" when it asks
    for none, None while `data` is not all of it. Raises NoHello.
    """
    hello = _handshake(data)
    if hello is None:
        return None
    try:
        return _named(hello)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise NoHello("a malformed ClientHello") from error


def _handshake(data: bytes) -> bytes | None:
    """The body of the first handshake message, out of its records."""
    message = b""
    start = records = 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        # What is wrong is told before all of it is there.
        if data[start : start + 1] not in (b"", bytes((_HANDSHAKE,))):
            raise NoHello("not a TLS handshake")
        if message and message[0] != _CLIENT_HELLO:
            raise NoHello("not a ClientHello")
        if len(message) >= 4 and int.from_bytes(message[1:4], "big") > LARGEST:
            raise NoHello("a ClientHello that is too large")
        if len(data) - start < _RECORD.size:
            return None
        _, version, length = _RECORD.unpack_from(data, start)
        records += 1
        if version >> 8 != 3 or not 0 < length <= _MOST_RECORD_BYTES or records > _MOST_RECORDS:
            raise NoHello("not a TLS record")
        start += _RECORD.size
        if len(data) - start < length:
            return None
        message += data[start : start + length]
        start += length
    if message[0] != _CLIENT_HELLO:
        raise NoHello("not a ClientHello")
    return message[4 : 4 + int.from_bytes(message[1:4], "big")]


def _named(hello: bytes) -> str:
    at = 2 + 32  # version, random
    at += 1 + hello[at]  # session
    at += 2 + _length(hello, at)  # cipher suites
    at += 1 + hello[at]  # compression methods
    if at == len(hello):
        return ""
    end = at + 2 + _length(hello, at)
    at += 2
    if end != len(hello):
        raise NoHello("a malformed ClientHello")
    found: list[str] = []
    while at < end:
        kind, length = struct.unpack_from(">HH", hello, at)
        at += 4
        if at + length > end:
            raise NoHello("a malformed ClientHello")
        if kind == _SERVER_NAME:
            found.append(_one_name(hello[at : at + length]))
        at += length
    if len(found) > 1:
        raise NoHello("a ClientHello with two server names")
    return found[0] if found else ""


def _one_name(extension: bytes) -> str:
    """The only entry of the extension: there may be one of each kind, and there is one kind."""
    listed, kind, length = struct.unpack_from(">HBH", extension)
    name = extension[5:]
    if listed != len(extension) - 2 or kind != _HOST_NAME or length != len(name):
        raise NoHello("a malformed server name")
    return name.decode("ascii").lower().removesuffix(".")


def _length(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">H", data, at)[0])
