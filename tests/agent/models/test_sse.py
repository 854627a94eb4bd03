from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.models.sse import EventReader, OversizedEvent, ServerEvent


def events(*pieces: bytes, limit: int = 1 << 20) -> list[ServerEvent]:
    reader = EventReader(limit)
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


def data(*pieces: bytes) -> list[str]:
    return [event.data for event in events(*pieces)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_each_line_end_ends_lines(end: bytes) -> None:
    assert data(b"data: a" + end + end + b"data: b" + end + end) == ["a", "b"]


def test_the_space_behind_the_colon_is_optional_and_only_one_is_dropped() -> None:
    assert data(b"data:a\n\ndata:  b\n\ndata\n\n") == ["a", " b", ""]


def test_several_data_lines_make_one_event() -> None:
    assert data(b"data: a\ndata: b\n\n") == ["a\nb"]


def test_comments_ids_and_unknown_fields_give_no_event() -> None:
    assert data(b": ping\n\nid: 7\nretry: 1\n\nnonsense\n\ndata: a\n\n") == ["a"]


def test_the_event_name_belongs_to_one_event() -> None:
    named = events(b"event: error\ndata: a\n\ndata: b\n\n")
    assert named == [ServerEvent("a", "error"), ServerEvent("b", "")]


def test_the_last_event_counts_without_an_empty_line_behind_it() -> None:
    assert data(b"data: a\n\ndata: b") == ["a", "b"]


def test_a_byte_order_mark_is_passed_over_in_any_pieces() -> None:
    assert data(b"\xef", b"\xbb", b"\xbfdata: a\n\n") == ["a"]
    assert data(b"\xef\xbb\xbfdata: a\n\n") == ["a"]


def test_bytes_that_are_no_utf8_are_replaced_and_the_rest_is_kept() -> None:
    assert data(b"data: a\xff\xc3\xa9b\n\n") == ["a\ufffd\xe9b"]


def test_a_character_split_between_pieces_is_whole() -> None:
    encoded = "data: \U0001f600\n\n".encode()
    assert data(encoded[:8], encoded[8:]) == ["\U0001f600"]


def test_an_event_is_given_as_soon_as_its_empty_line_came() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\n") == []
    assert reader.feed(b"\n") == [ServerEvent("a")]


def test_a_line_without_end_is_refused_at_the_limit() -> None:
    reader = EventReader(limit=1000)
    for _ in range(10):
        assert reader.feed(b"x" * 100) == []
    with pytest.raises(OversizedEvent):
        reader.feed(b"x")


def test_many_short_lines_of_one_event_are_refused_at_the_limit() -> None:
    with pytest.raises(OversizedEvent):
        events(b"data: 0123456789\n" * 100, limit=500)


def test_many_small_events_are_not_limited() -> None:
    assert len(events(b"data: 0123456789\n\n" * 100, limit=50)) == 100


_LINES = st.lists(
    st.sampled_from(
        [b"data: a", b"data:", b"", b": c", b"event: e", b"data: \xff\xf0\x9f", b"data: \xc3\xa9"]
    ),
    max_size=12,
)


@settings(deadline=None)
@given(_LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.data())
def test_how_the_bytes_are_cut_changes_nothing(
    lines: list[bytes], end: bytes, draw: st.DataObject
) -> None:
    whole = b"".join(line + end for line in lines)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in pairwise([0, *cuts, len(whole)])]
    assert events(*pieces) == events(whole)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))))
def test_what_is_written_as_events_is_read_back(texts: list[str]) -> None:
    written = "".join(f"data: {text}\n\n" for text in texts).encode()
    assert data(written) == texts


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_fail(junk: bytes) -> None:
    events(junk)
