import pytest

from agent.bench.meter import Meter
from agent.models.base import Price
from tests.agent.running.played import job


def usage(read: int, written: int) -> dict[str, int]:
    return {"input_tokens": read, "output_tokens": written}


def test_what_attempts_spend_is_counted_until_they_have_their_results() -> None:
    meter, told = Meter(Price(1.0, 2.0)), list[int]()
    meter.told = lambda: told.append(meter.turns)
    for name in "ab":
        meter.hear(job(name), {"type": "run.started"})
        meter.hear(job(name), {"type": "turn", "usage": usage(100, 10), "first_token_seconds": 0.5})
    meter.hear(job("a"), {"type": "turn", "usage": usage(300, 40), "first_token_seconds": None})
    meter.hear(job("a"), {"type": "malformed", "usage": usage(400, 45)})
    meter.hear(job("a"), {"type": "result"})
    assert meter.in_flight() == (555, pytest.approx((500 + 2 * 55) / 1e6))
    assert (meter.turns, meter.written, meter.first_token_seconds) == (3, 55, 1.0)
    assert told == [1, 2, 3, 3]
    meter.forget(("a", 1))
    assert meter.in_flight()[0] == 110
    assert meter.written == 55


def test_what_an_earlier_sitting_spent_is_spent_but_was_not_written_now() -> None:
    meter = Meter(None)
    meter.hear(job("a"), {"type": "resumed"})
    meter.hear(job("a"), {"type": "turn", "usage": usage(9000, 900)})
    meter.hear(job("a"), {"type": "turn", "usage": usage(9500, 950)})
    assert meter.in_flight() == (10_450, 0.0)
    assert meter.written == 50


def test_what_an_attempt_does_is_told_while_it_does_it() -> None:
    meter = Meter(None)
    meter.hear(job("a"), {"type": "turn.started", "turn": 3})
    assert meter.doing == {("a", 1): "turn 3"}
    meter.hear(job("a"), {"type": "progress", "text": "proving the change."})
    assert meter.doing == {("a", 1): "proving the change"}
    meter.forget(("a", 1))
    assert meter.doing == {}
