from datetime import date

from todo import TodoList


def test_a_repeating_item_is_added_again():
    todo = TodoList()
    todo.add("water the plants", date(2024, 6, 10), repeat_days=7)
    todo.complete(1, date(2024, 6, 10))
    (again,) = todo.open_items()
    assert again.title == "water the plants"
    assert again.number == 2
    assert again.due == date(2024, 6, 17)


def test_it_repeats_more_than_once():
    todo = TodoList()
    todo.add("water the plants", date(2024, 6, 10), repeat_days=7)
    todo.complete(1, date(2024, 6, 8))
    todo.complete(2, date(2024, 6, 18))
    assert [item.due for item in todo.open_items()] == [date(2024, 6, 24)]


def test_a_late_item_repeats_after_today():
    todo = TodoList()
    todo.add("clean the filter", date(2024, 6, 1), repeat_days=7)
    done = todo.complete(1, date(2024, 6, 8))
    assert done.done_on == date(2024, 6, 8)
    assert [item.due for item in todo.open_items()] == [date(2024, 6, 15)]


def test_other_items_do_not_repeat():
    todo = TodoList()
    todo.add("file the taxes", date(2024, 6, 10))
    todo.complete(1, date(2024, 6, 10))
    assert todo.open_items() == []
