"""The number of attempts at a time, against a server that is played."""

from dataclasses import dataclass

import pytest

from agent.bench.concurrency import FULL, Controller, Sample


@dataclass
class Server:
    """Each of so many conversations writes `speed` tokens a second, up to `most` in all. Each takes
    `cache` of its KV cache; once that is full, all are slowed down by what is read anew."""

    speed: float = 10.0
    most: float = 1000.0
    cache: float = 0.0
    tells: bool = True
    slots: int | None = None

    def sample(self, attempts: int) -> Sample:
        used = attempts * self.cache
        working = attempts if self.slots is None else min(attempts, self.slots)
        rate = min(self.most, working * self.speed)
        if used > 1:
            rate /= 1 + 4 * (used - 1)
        if not self.tells:
            return Sample(rate, full=True)
        return Sample(rate, full=True, cache=min(1.0, used), waiting=attempts - working)


def steered(server: Server, most: int = 256, looks: int = 60) -> list[int]:
    controller = Controller(most)
    limits = [controller.limit]
    for _ in range(looks):
        limits.append(controller.take(server.sample(controller.limit)))
    return limits


def test_it_rises_while_throughput_rises_up_to_the_bound() -> None:
    limits = steered(Server(most=1e9), most=64, looks=10)
    assert limits[:5] == [4, 8, 16, 32, 64]
    assert max(limits) == 64


@pytest.mark.parametrize("tells", [True, False])
def test_it_stays_where_more_would_not_be_faster(tells: bool) -> None:
    limits = steered(Server(most=200, tells=tells))  # 20 conversations fill it
    settled = limits[10:]
    assert min(settled) >= 16
    assert max(settled) <= 40


@pytest.mark.parametrize("cache", [0.3, 0.1, 0.04, 0.011])
def test_it_backs_off_before_the_cache_is_full_and_then_stays_below(cache: float) -> None:
    limits = steered(Server(most=1e9, cache=cache))
    settled = limits[20:]
    over = [limit for limit in settled if limit * cache >= 1]
    assert not over
    assert sum(settled) / len(settled) * cache > 0.55 or max(settled) == 1


def test_without_metrics_a_cache_that_thrashes_shows_in_the_throughput() -> None:
    limits = steered(Server(most=1e9, cache=0.04, tells=False))
    settled = limits[20:]
    assert sum(limit * 0.04 > 1.2 for limit in settled) < len(settled) / 4
    assert min(settled) >= 8


def test_requests_that_wait_at_the_server_are_too_many() -> None:
    limits = steered(Server(most=1e9, slots=10))
    assert max(limits[8:]) <= 12
    assert min(limits[8:]) >= 7


def test_it_follows_a_server_that_gets_less_room() -> None:
    controller = Controller(128)
    for _ in range(20):
        controller.take(Server(most=1e9, cache=0.01).sample(controller.limit))
    assert controller.limit > 60
    for _ in range(12):
        controller.take(Server(most=1e9, cache=0.1).sample(controller.limit))
    assert controller.limit * 0.1 < FULL


def test_what_is_not_used_is_not_raised() -> None:
    controller = Controller(64)
    for rate in (10, 100, 1000):
        assert controller.take(Sample(rate, full=False)) == 4


@pytest.mark.parametrize("most", [1, 2, 3])
def test_it_never_leaves_its_bounds(most: int) -> None:
    for server in (Server(), Server(cache=0.9), Server(slots=1)):
        assert all(1 <= limit <= most for limit in steered(server, most))
