"""The tree of a formula."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Operation:
    symbol: str
    left: "Node"
    right: "Node"


Node = Number | Name | Operation
