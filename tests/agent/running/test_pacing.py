"""When the number of attempts is looked at: the clock and the server are given."""

from pathlib import Path

import pytest

from agent.bench import pacing
from agent.bench.concurrency import Controller
from agent.bench.meter import Meter
from agent.bench.pacing import Pacer
from agent.models.base import ServerLoad
from tests.agent.running.kept import Mender
from tests.agent.running.played import Onlooker, PlayedEngine, jobs, runner_of


@pytest.fixture
def pacer(tmp_path: Path) -> Pacer:
    meter = Meter(None)
    runner = runner_of(tmp_path, PlayedEngine(), jobs(5), Onlooker(), most=64)
    made = Pacer(Controller(64), Mender(), meter, runner)
    made._since = 0.0
    return made


def wrote(pacer: Pacer, turns: int, tokens: int) -> None:
    pacer._meter.turns += turns
    pacer._meter.written += tokens


def test_a_step_is_judged_once_enough_turns_were_taken(pacer: Pacer) -> None:
    wrote(pacer, 7, 1000)
    pacer._look(10.0)
    assert pacer._runner.allowed == 64  # nothing was set yet
    wrote(pacer, 1, 100)
    pacer._look(10.0)
    assert pacer._runner.allowed == 8
    wrote(pacer, 16, 2300)
    pacer._look(12.0)  # so soon nothing can be said
    assert pacer._runner.allowed == 8
    pacer._look(20.0)
    assert pacer._runner.allowed == 16
    wrote(pacer, 40, 2300)
    pacer._look(30.0)  # as fast as with 8
    assert pacer._runner.allowed == 8


def test_slow_turns_are_not_waited_for_without_end(pacer: Pacer) -> None:
    wrote(pacer, 1, 100)
    pacer._look(pacing._MOST)
    assert pacer._runner.allowed == 8


def test_a_server_that_is_full_is_heard_at_once(pacer: Pacer) -> None:
    pacer._controller.limit = 40
    pacer.load = ServerLoad(cache=0.95)
    pacer._look(6.0)
    assert pacer._runner.allowed == 30
    pacer.load = ServerLoad(cache=0.5, waiting=3)
    pacer._look(12.0)
    assert pacer._runner.allowed == 27


def test_attempts_that_were_not_all_at_work_say_nothing_of_more(pacer: Pacer) -> None:
    pacer._full = False
    wrote(pacer, 50, 1000)
    pacer._look(10.0)
    assert pacer._runner.allowed == 4
