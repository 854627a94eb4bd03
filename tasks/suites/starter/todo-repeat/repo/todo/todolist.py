"""The list: add, complete, look up."""

from dataclasses import replace
from datetime import date

from todo.items import Item


class TodoError(Exception):
    """Something that cannot be done with this list."""


class TodoList:
    def __init__(self) -> None:
        self._items: dict[int, Item] = {}

    def add(self, title: str, due: date) -> Item:
        """A new item with the next free number."""
        title = title.strip()
        if not title:
            raise TodoError("an item needs a title")
        item = Item(len(self._items) + 1, title, due)
        self._items[item.number] = item
        return item

    def get(self, number: int) -> Item:
        if number not in self._items:
            raise TodoError(f"there is no item {number}")
        return self._items[number]

    def complete(self, number: int, today: date) -> Item:
        """Mark an item as done and return it."""
        item = self.get(number)
        if item.done:
            raise TodoError(f"item {number} is already done")
        self._items[number] = replace(item, done_on=today)
        return self._items[number]

    def open_items(self) -> list[Item]:
        """What is still to be done, the most urgent first."""
        items = [item for item in self._items.values() if not item.done]
        return sorted(items, key=lambda item: (item.due, item.number))
