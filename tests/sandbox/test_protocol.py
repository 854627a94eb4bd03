import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import protocol

kinds = st.sampled_from(sorted(protocol.SUPERVISOR_KINDS))
frames = st.lists(st.tuples(kinds, st.integers(0, 2**32 - 1), st.binary(max_size=300)), max_size=8)
records = st.lists(
    st.tuples(
        st.sampled_from([protocol.FILE, protocol.EXECUTABLE, protocol.DELETED, protocol.SYMLINK]),
        st.binary(min_size=1, max_size=60),
        st.binary(max_size=400),
        st.sampled_from([b"", b"i" * 20, b"i" * 32]),
    ),
    max_size=6,
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [*parts, data]


@given(frames, st.lists(st.integers(0, 50)))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(sent, sizes) -> None:
    decoder = protocol.Decoder(protocol.SUPERVISOR_KINDS)
    stream = b"".join(protocol.encode(*frame) for frame in sent)
    assert [frame for part in cut(stream, sizes) for frame in decoder.feed(part)] == sent


@given(records, st.lists(st.integers(0, 50)))
def test_records_come_out_as_they_went_in_however_the_stream_is_cut(sent, sizes) -> None:
    decoder = protocol.RecordDecoder()
    stream = b"".join(
        protocol.encode_record(kind, path, content, identity)
        for kind, path, content, identity in sent
    )
    found: list[tuple[int, bytes, bytearray, bytes]] = []
    for part in cut(stream, sizes):
        for kind, path, identity, size, chunk, offset in decoder.feed(part):
            if offset == 0:
                found.append((kind, path, bytearray(), identity))
            assert len(found[-1][2]) == offset
            found[-1][2].extend(chunk)
            assert offset + len(chunk) <= size
    assert [(k, p, bytes(c), i) for k, p, c, i in found] == sent
    assert decoder.idle


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_protocol_error(data: bytes) -> None:
    try:
        protocol.Decoder(protocol.HOST_KINDS).feed(data)
        protocol.RecordDecoder().feed(data)
    except protocol.ProtocolError:
        pass


def test_a_length_is_refused_before_its_bytes_come() -> None:
    head = protocol.HEADER.pack(protocol.MAX_PAYLOAD + 1, protocol.REPLY, 1)
    with pytest.raises(protocol.ProtocolError, match="1048577"):
        protocol.Decoder(protocol.SUPERVISOR_KINDS).feed(head)


def test_kinds_of_the_other_direction_are_refused() -> None:
    frame = protocol.encode(protocol.REQUEST, 1, b"{}")
    with pytest.raises(protocol.ProtocolError):
        protocol.Decoder(protocol.SUPERVISOR_KINDS).feed(frame)


def test_too_large_a_payload_is_not_sent() -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.encode(protocol.INPUT, 1, bytes(protocol.MAX_PAYLOAD + 1))


def test_a_stream_that_ends_within_a_record_is_not_idle() -> None:
    decoder = protocol.RecordDecoder()
    decoder.feed(protocol.encode_record(protocol.FILE, b"a", b"content")[:-1])
    assert not decoder.idle
