"""The parts of a pattern between two slashes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Mismatch(Exception):
    """The piece of the path is not what the segment describes."""


def _word(piece: str) -> str:
    return piece


def _integer(piece: str) -> int:
    if not piece.isdecimal():
        raise Mismatch(piece)
    return int(piece)


CONVERTERS: dict[str, Callable[[str], Any]] = {"str": _word, "int": _integer}


@dataclass(frozen=True)
class Literal:
    text: str

    def convert(self, piece: str) -> str:
        if piece != self.text:
            raise Mismatch(piece)
        return piece


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: str

    def convert(self, piece: str) -> Any:
        return CONVERTERS[self.kind](piece)
