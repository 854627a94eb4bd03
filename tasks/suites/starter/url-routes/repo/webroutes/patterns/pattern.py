"""Parse patterns and match paths against them."""

from dataclasses import dataclass
from typing import Any

from webroutes.patterns.segments import CONVERTERS, Literal, Mismatch, Parameter


class PatternError(ValueError):
    """A pattern that makes no sense."""


@dataclass(frozen=True)
class Pattern:
    segments: tuple[Literal | Parameter, ...]

    def match(self, path: str) -> dict[str, Any] | None:
        """The parameters' values, converted to their kinds; None when the path differs."""
        pieces = split(path)
        if len(pieces) != len(self.segments):
            return None
        values: dict[str, Any] = {}
        for segment, piece in zip(self.segments, pieces, strict=True):
            try:
                value = segment.convert(piece)
            except Mismatch:
                return None
            if isinstance(segment, Parameter):
                values[segment.name] = piece
        return values


def split(path: str) -> list[str]:
    return [piece for piece in path.split("/") if piece]


def parse(text: str) -> Pattern:
    """A pattern from its text; PatternError for unknown kinds and repeated names."""
    segments: list[Literal | Parameter] = []
    names: set[str] = set()
    for piece in split(text):
        if not (piece.startswith("<") and piece.endswith(">")):
            segments.append(Literal(piece))
            continue
        kind, _, name = piece[1:-1].rpartition(":")
        kind = kind or "str"
        if kind not in CONVERTERS:
            raise PatternError(f"{text}: unknown kind {kind!r}")
        if name in names:
            raise PatternError(f"{text}: {name!r} occurs twice")
        names.add(name)
        segments.append(Parameter(name, kind))
    return Pattern(tuple(segments))
