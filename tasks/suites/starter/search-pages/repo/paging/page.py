"""Cut a sequence into numbered pages; the first page is number 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class PageError(ValueError):
    """There is no such page."""


@dataclass(frozen=True)
class Page:
    items: tuple[Any, ...]
    number: int
    size: int
    total: int

    @property
    def count(self) -> int:
        """How many pages there are; an empty result still has one."""
        return max(1, -(-self.total // self.size))

    @property
    def has_previous(self) -> bool:
        return self.number > 1

    @property
    def has_next(self) -> bool:
        return self.number <= self.count

    @property
    def first_index(self) -> int:
        """The position of the page's first item, counted from 1; 0 on an empty page."""
        return (self.number - 1) * self.size + 1 if self.items else 0

    @property
    def last_index(self) -> int:
        return self.first_index + len(self.items) - 1 if self.items else 0


def paginate(items: Sequence[Any], number: int = 1, size: int = 10) -> Page:
    """Page `number` of `items`; PageError when it does not exist."""
    if size < 1:
        raise PageError(f"a page needs at least one item, not {size}")
    start = (number - 1) * size
    if number < 1 or (start >= len(items) and number > 1):
        raise PageError(f"no page {number}")
    return Page(tuple(items[start : start + size]), number, size, len(items))
