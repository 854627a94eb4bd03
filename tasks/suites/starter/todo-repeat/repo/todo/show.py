"""The list as text."""

from datetime import date

from todo.items import Item
from todo.todolist import TodoList


def show_item(item: Item, today: date) -> str:
    mark = "!" if item.overdue(today) else " "
    return f"{mark} {item.number:>3}  {item.due:%Y-%m-%d}  {item.title}"


def show(todo: TodoList, today: date) -> str:
    return "\n".join(show_item(item, today) for item in todo.open_items()) or "nothing to do"
