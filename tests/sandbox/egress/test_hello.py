"""The name in a ClientHello, of Python's own TLS and of bytes that were made to mislead."""

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.egress.hello import LARGEST, NoHello, server_name


def hello(name: str | None) -> bytes:
    """What a TLS client says first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    out = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return out.read()


REAL = hello("Packages.Example.org")


def in_records(message: bytes, size: int) -> bytes:
    pieces = [message[n : n + size] for n in range(0, len(message), size)]
    return b"".join(struct.pack(">BHH", 22, 0x301, len(piece)) + piece for piece in pieces)


def test_the_name_is_found() -> None:
    assert server_name(REAL) == "packages.example.org"
    assert server_name(REAL + b"more") == "packages.example.org"
    assert server_name(hello(None)) == ""


def test_the_beginning_of_one_is_not_all() -> None:
    for length in range(len(REAL)):
        assert server_name(REAL[:length]) is None, length


def test_a_hello_in_several_records_is_put_together() -> None:
    assert server_name(in_records(REAL[5:], 100)) == "packages.example.org"
    with pytest.raises(NoHello):
        server_name(in_records(REAL[5:], 1))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x80\x2e\x01\x03\x01",  # as SSL 2 began
        b"\x16\x02\x00\x00\x10",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x17\x03\x03\x00\x10",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x10",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01" + (LARGEST + 1).to_bytes(3, "big"),
    ],
)
def test_what_is_no_hello_is_told_at_once(data: bytes) -> None:
    with pytest.raises(NoHello):
        server_name(data)


def with_extensions(*extensions: tuple[int, bytes]) -> bytes:
    listed = b"".join(struct.pack(">HH", kind, len(text)) + text for kind, text in extensions)
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    body += struct.pack(">H", len(listed)) + listed
    return in_records(b"\x01" + len(body).to_bytes(3, "big") + body, 1 << 14)


def name_extension(*names: bytes, kind: int = 0) -> tuple[int, bytes]:
    entries = b"".join(struct.pack(">BH", kind, len(name)) + name for name in names)
    return 0, struct.pack(">H", len(entries)) + entries


def test_a_name_is_told_in_one_way_only() -> None:
    assert server_name(with_extensions(name_extension(b"a.example"))) == "a.example"
    for extensions in (
        (name_extension(b"a.example"), name_extension(b"b.example")),
        (name_extension(b"a.example", b"b.example"),),
        (name_extension(b"a.example", kind=1),),
        ((0, b""),),
        (name_extension(b"\xff.example"),),
    ):
        with pytest.raises(NoHello):
            server_name(with_extensions(*extensions))


@given(st.binary(max_size=200), st.integers(0, len(REAL) - 1))
def test_no_bytes_break_it(data: bytes, at: int) -> None:
    for text in (data, REAL[:at] + data, REAL[:at] + data + REAL[at + len(data) :]):
        try:
            found = server_name(text)
        except NoHello:
            continue
        assert found is None or isinstance(found, str)
