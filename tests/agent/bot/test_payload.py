from collections.abc import Callable

import pytest

from agent.bot.payload import Payload
from sandbox.errors import UsageError


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (True, lambda event: event.number("x")),
        (-1, lambda event: event.number("x")),
        (1.0, lambda event: event.number("x")),
        ("1", lambda event: event.number("x")),
        (1, lambda event: event.text("x")),
        (None, lambda event: event.text("x")),
        (1, lambda event: event.text_or("x")),
        ("true", lambda event: event.flag("x")),
        ("now", lambda event: event.instant("x")),
        ("ftp://a.test", lambda event: event.address("x")),
        ({}, lambda event: event.inners("x")),
        ([1], lambda event: event.inners("x")),
        ([], lambda event: event.inner("x")),
        (None, lambda event: event.inner("x")),
        ([], lambda event: event.inner_or_none("x")),
    ],
)
def test_what_is_of_another_kind_is_told_by_name(
    value: object, read: Callable[[Payload], object]
) -> None:
    with pytest.raises(UsageError, match=r"^event\.x"):
        read(Payload({"x": value}, "event"))


def test_what_is_left_out() -> None:
    event = Payload({"none": None}, "event")
    for name in ("none", "missing"):
        assert event.text_or(name, "other") == "other"
        assert event.flag(name) is False
        assert event.inners(name) == ()
        assert event.inner_or_none(name) is None


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-11-27T10:00:00Z", "2026-11-27T10:00:00+00:00"),
        ("2026-11-27 10:00:00 UTC", "2026-11-27T10:00:00+00:00"),
        ("2026-11-27T12:00:00.500+02:00", "2026-11-27T12:00:00.500000+02:00"),
    ],
)
def test_times(written: str, instant: str) -> None:
    assert Payload({"x": written}, "event").instant("x") == instant


def test_halves_of_characters_are_replaced() -> None:
    assert Payload({"x": "a\ud83d"}, "event").text("x") == "a\ufffd"
