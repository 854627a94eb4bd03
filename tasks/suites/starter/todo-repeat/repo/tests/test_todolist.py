from datetime import date

import pytest

from todo import TodoError, TodoList
from todo.show import show

TODAY = date(2024, 6, 10)


def test_items_are_numbered():
    todo = TodoList()
    assert [todo.add("a", TODAY).number, todo.add("b", TODAY).number] == [1, 2]


def test_a_title_is_needed():
    with pytest.raises(TodoError):
        TodoList().add("  ", TODAY)


def test_a_completed_item_is_not_open():
    todo = TodoList()
    todo.add("a", TODAY)
    assert todo.complete(1, TODAY).done_on == TODAY
    assert todo.open_items() == []


def test_an_item_is_completed_once():
    todo = TodoList()
    todo.add("a", TODAY)
    todo.complete(1, TODAY)
    with pytest.raises(TodoError, match="already"):
        todo.complete(1, TODAY)


def test_an_unknown_item_is_an_error():
    with pytest.raises(TodoError, match="7"):
        TodoList().complete(7, TODAY)


def test_urgent_items_come_first():
    todo = TodoList()
    todo.add("later", date(2024, 7, 1))
    todo.add("sooner", date(2024, 6, 12))
    assert [item.title for item in todo.open_items()] == ["sooner", "later"]


def test_overdue_items_are_marked():
    todo = TodoList()
    todo.add("tax", date(2024, 6, 9))
    assert show(todo, TODAY) == "!   1  2024-06-09  tax"


def test_an_empty_list_says_so():
    assert show(TodoList(), TODAY) == "nothing to do"
