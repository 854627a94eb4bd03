import pytest

from shop.history import History, NothingToUndo


def test_states_come_back_in_reverse():
    history = History()
    history.remember("one")
    history.remember("two")
    assert [history.back(), history.back()] == ["two", "one"]


def test_before_the_first_state_there_is_nothing():
    with pytest.raises(NothingToUndo):
        History().back()


def test_old_states_are_forgotten():
    history = History(limit=2)
    for state in "abc":
        history.remember(state)
    assert len(history) == 2
    assert [history.back(), history.back()] == ["c", "b"]
