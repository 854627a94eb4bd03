import pytest

from agent.budget import Ledger, Limits, check_cost_limit
from agent.models.base import ModelInfo, Price, Usage
from sandbox.errors import UsageError


def test_there_is_room_at_the_start() -> None:
    assert Ledger(Limits(), None).exhausted() == ""


def test_each_bound_says_which_it_is() -> None:
    turns = Ledger(Limits(turns=1), None)
    turns.turns = 1
    assert turns.exhausted() == "turn limit of 1 reached"
    tokens = Ledger(Limits(tokens=10), None)
    tokens.add(Usage(6, 5))
    assert tokens.exhausted() == "token limit of 10 reached"
    seconds = Ledger(Limits(seconds=0), None)
    assert seconds.exhausted() == "time limit of 0 s reached"
    cost = Ledger(Limits(cost=0.5), Price(100_000, 0))
    cost.add(Usage(6, 5))
    assert cost.exhausted() == "cost limit of $0.5 reached"


def test_cost_is_known_only_with_a_price() -> None:
    assert Ledger(Limits(), None).cost is None
    ledger = Ledger(Limits(), Price(1.0, 10.0))
    ledger.add(Usage(1_000_000, 100_000))
    assert ledger.cost == pytest.approx(2.0)


def test_a_cost_limit_without_a_price_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="the price of m is not known"):
        check_cost_limit(Limits(cost=1), ModelInfo("m", "openai"))
    check_cost_limit(Limits(cost=1), ModelInfo("m", "openai", price=Price(0, 0)))
    check_cost_limit(Limits(), ModelInfo("m", "openai"))


def test_a_resumed_attempt_goes_on_counting() -> None:
    ledger = Ledger(Limits(), None)
    ledger.carry(3, {"input_tokens": 5, "output_tokens": 7, "estimated": True}, 100.0)
    assert (ledger.turns, ledger.tokens) == (3, 12)
    assert ledger.seconds >= 100
    assert ledger.estimated
