import pytest

from ratelimit import Limiter, TooManyRequests


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_clients_do_not_share_their_tokens(clock):
    limiter = Limiter(1, clock=clock)
    assert limiter.allow("ann")
    assert limiter.allow("bob")
    assert not limiter.allow("ann")


def test_the_rate_is_a_number_of_requests_in_a_period(clock):
    limiter = Limiter(6, per=60.0, clock=clock)
    for _ in range(6):
        limiter.check("ann")
    with pytest.raises(TooManyRequests) as caught:
        limiter.check("ann")
    assert caught.value.retry_after == pytest.approx(10.0)


def test_a_steady_client_reaches_the_rate(clock):
    limiter = Limiter(4, per=1.0, clock=clock)
    allowed = 0
    for tick in range(81):
        clock.now = tick / 8
        allowed += limiter.allow("ann")
    assert allowed == 4 + 40


def test_idle_clients_are_forgotten(clock):
    limiter = Limiter(2, per=2.0, clock=clock)
    limiter.allow("ann")
    clock.now = 5.0
    limiter.allow("bob")
    assert limiter.forget_idle() == 1
