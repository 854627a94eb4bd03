import pytest

from ratelimit import Bucket


def test_a_new_bucket_is_full():
    assert Bucket(3, 2.0, now=0).available(0) == 3


def test_an_empty_bucket_gives_nothing():
    bucket = Bucket(2, 2.0, now=0)
    assert [bucket.take(0), bucket.take(0), bucket.take(0)] == [True, True, False]


def test_a_token_comes_back_after_the_interval():
    bucket = Bucket(1, 2.0, now=0)
    bucket.take(0)
    assert bucket.take(2.0)


def test_asking_often_does_not_delay_the_next_token():
    bucket = Bucket(1, 2.0, now=0)
    bucket.take(0)
    answers = [bucket.take(now) for now in (0.5, 1.0, 1.5, 2.0, 2.5)]
    assert answers == [False, False, False, True, False]


def test_a_bucket_does_not_overflow():
    bucket = Bucket(3, 2.0, now=0)
    assert bucket.available(1000) == 3


def test_the_wait_shrinks_as_time_passes():
    bucket = Bucket(1, 4.0, now=0)
    bucket.take(0)
    assert bucket.wait(0) == pytest.approx(4.0)
    assert bucket.wait(3.0) == pytest.approx(1.0)


def test_a_bucket_without_capacity_is_refused():
    with pytest.raises(ValueError):
        Bucket(0, 1.0, now=0)
