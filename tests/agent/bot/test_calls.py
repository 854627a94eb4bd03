from collections.abc import Callable

import pytest

from agent.bot.calls import MOST_WAIT, TRIES, Calls, Trouble, asked_wait
from agent.bot.forge import ForgeError


class Wrong(Exception):
    def __init__(self, trouble: Trouble) -> None:
        super().__init__()
        self.trouble = trouble


class Played:
    """A request that fails with one trouble after the other, then gives "done"."""

    def __init__(self, *troubles: Trouble) -> None:
        self.left = list(troubles)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.left:
            raise Wrong(self.left.pop(0))
        return "done"


def calls(pauses: list[float], said: Callable[[str], None] = print) -> Calls:
    def trouble(problem: Exception) -> Trouble | None:
        return problem.trouble if isinstance(problem, Wrong) else None

    return Calls("The forge", trouble, secrets=["s3cret", ""], say=said, sleep=pauses.append)


LOST = Trouble(0, "lost")
BUSY = Trouble(429, "busy", 5)


def test_what_passes_is_tried_again() -> None:
    pauses: list[float] = []
    assert calls(pauses).again("ask", Played(LOST, BUSY, Trouble(502, ""))) == "done"
    assert pauses == [1, 6, 4]


def test_tries_end() -> None:
    played = Played(*[LOST] * 9)
    with pytest.raises(ForgeError, match="could not be reached to ask: lost"):
        calls([]).again("ask", played)
    assert played.asked == TRIES


def test_pauses_end() -> None:
    pauses: list[float] = []
    wait = Trouble(429, "busy", MOST_WAIT / 2)
    with pytest.raises(ForgeError, match="too many requests"):
        calls(pauses).again("ask", Played(wait, wait, wait))
    assert len(pauses) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_refusal_is_final(status: int) -> None:
    played = Played(Trouble(status, "no"))
    with pytest.raises(ForgeError) as caught:
        calls([]).again("ask", played)
    assert (played.asked, caught.value.status) == (1, status)


def test_a_write_that_was_refused_for_now_is_tried_again() -> None:
    played = Played(BUSY)
    assert calls([]).once("write", played) == "done"
    assert played.asked == 2


def test_a_write_that_may_be_done_is_not_tried_blindly() -> None:
    played = Played(LOST)
    with pytest.raises(ForgeError):
        calls([]).once("write", played)
    assert played.asked == 1


def test_a_write_that_is_found_done_is_not_tried_again() -> None:
    played = Played(LOST)
    assert calls([]).once("write", played, lambda: "found") == "found"
    assert played.asked == 1


def test_a_write_that_is_not_found_is_tried_again_after_a_look_each() -> None:
    looks: list[None] = []
    played = Played(*[LOST] * 9)
    with pytest.raises(ForgeError):
        calls([]).once("write", played, lambda: looks.append(None))
    assert (played.asked, len(looks)) == (TRIES, TRIES)


def test_secrets_are_kept_out_of_what_is_said() -> None:
    said: list[str] = []
    shown = Trouble(500, "at s3cret\n\x1b[31m" + "x" * 1000)
    with pytest.raises(ForgeError) as caught:
        calls([], said.append).again("ask", Played(*[shown] * 9))
    for text in (*said, str(caught.value)):
        assert "s3cret" not in text
        assert "\x1b" not in text
        assert len(text) < 500


def test_a_defect_is_no_trouble_of_the_forge() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        calls([]).again("ask", broken)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("-1", 0),
        ("Fri, 27 Nov 2026 10:01:00 GMT", 60),
        ("Fri, 27 Nov 2026 09:00:00 GMT", 0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert asked_wait(value, "Fri, 27 Nov 2026 10:00:00 GMT") == seconds
