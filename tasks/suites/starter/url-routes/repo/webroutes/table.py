"""Routes in the order in which they were added; the first that matches serves the path."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webroutes.patterns import Pattern, parse


class NotFound(LookupError):
    """No route serves the path."""


@dataclass(frozen=True)
class Match:
    handler: Callable[..., Any]
    values: dict[str, Any]

    def call(self) -> Any:
        return self.handler(**self.values)


class RouteTable:
    def __init__(self) -> None:
        self._routes: list[tuple[Pattern, Callable[..., Any]]] = []

    def add(self, text: str, handler: Callable[..., Any]) -> None:
        self._routes.append((parse(text), handler))

    def resolve(self, path: str) -> Match:
        for pattern, handler in self._routes:
            values = pattern.match(path)
            if values is not None:
                return Match(handler, values)
        raise NotFound(path)
