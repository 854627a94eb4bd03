"""The builder: every step returns the query, so that calls can be chained."""

from collections.abc import Sequence
from typing import Any

from sqlbuild.conditions import Condition, compare, one_of
from sqlbuild.names import checked


class Query:
    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self._table = checked(table)
        self._columns = [checked(column) for column in columns]
        self._conditions: list[Condition] = []
        self._order: list[str] = []
        self._limit: int | None = None

    def where(self, column: str, operator: str, value: Any) -> "Query":
        self._conditions.append(compare(column, operator, value))
        return self

    def where_in(self, column: str, values: Sequence[Any]) -> "Query":
        self._conditions.append(one_of(column, values))
        return self

    def order_by(self, column: str, descending: bool = False) -> "Query":
        self._order.append(checked(column) + (" DESC" if descending else ""))

    def limit(self, count: int) -> "Query":
        if count < 0:
            raise ValueError("a limit cannot be negative")
        self._limit = count
        return self

    def build(self) -> tuple[str, list[Any]]:
        """The statement with question marks, and the values that belong to them."""
        parts = [f"SELECT {', '.join(self._columns) or '*'} FROM {self._table}"]
        values: list[Any] = []
        if self._conditions:
            parts.append("WHERE " + " AND ".join(each.text for each in self._conditions))
            for condition in self._conditions:
                values.extend(condition.values)
        if self._order:
            parts.append("ORDER BY " + ", ".join(self._order))
        if self._limit is not None:
            parts.append("LIMIT ?")
            values.append(self._limit)
        return " ".join(parts), values


def select(table: str, *columns: str) -> Query:
    """Start a query; without columns it selects all of them."""
    return Query(table, columns)
