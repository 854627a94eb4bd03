import pytest

from pagecache import Cache


def test_what_was_put_is_found():
    cache = Cache(2)
    cache.put("a", 1)
    assert cache.get("a") == 1


def test_what_is_missing_gives_the_default():
    assert Cache(2).get("a", "nothing") == "nothing"


def test_putting_again_replaces():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("a", 2)
    assert cache.get("a") == 2
    assert len(cache) == 1


def test_an_entry_expires(clock):
    cache = Cache(2, lifetime=60, clock=clock)
    cache.put("a", 1)
    clock.now += 60
    assert cache.get("a") is None
    assert "a" not in cache


def test_an_entry_lives_until_then(clock):
    cache = Cache(2, lifetime=60, clock=clock)
    cache.put("a", 1)
    clock.now += 59
    assert cache.get("a") == 1


def test_the_size_is_bounded():
    cache = Cache(3)
    for number in range(10):
        cache.put(number, number)
    assert len(cache) == 3
    assert cache.stats.evictions == 7


def test_the_newest_entries_stay():
    cache = Cache(2)
    for name in "abc":
        cache.put(name, name.upper())
    assert cache.get("c") == "C"
    assert "a" not in cache


def test_using_an_entry_keeps_it():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert "a" in cache
    assert "b" not in cache
    assert "c" in cache


def test_hits_and_misses_are_counted():
    cache = Cache(2)
    cache.put("a", 1)
    cache.get("a")
    cache.get("b")
    assert cache.stats.hit_rate == 0.5


def test_a_cache_without_room_is_refused():
    with pytest.raises(ValueError):
        Cache(0)
