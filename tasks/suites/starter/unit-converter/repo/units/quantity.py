"""A number together with its unit."""

import re
from dataclasses import dataclass

from units.convert import UnitError, convert, dimension

TEXT = re.compile(r"\s*(?P<amount>[-+]?\d+(\.\d+)?)\s*(?P<unit>[a-z]+)\s*")


@dataclass(frozen=True)
class Quantity:
    amount: float
    unit: str

    def __post_init__(self) -> None:
        dimension(self.unit)

    @classmethod
    def parse(cls, text: str) -> "Quantity":
        """A quantity from a text such as '12.5 km'."""
        match = TEXT.fullmatch(text)
        if match is None:
            raise UnitError(f"not a quantity: {text!r}")
        return cls(float(match["amount"]), match["unit"])

    def to(self, unit: str) -> "Quantity":
        return Quantity(convert(self.amount, unit, self.unit), unit)

    def __add__(self, other: "Quantity") -> "Quantity":
        """The sum, in the unit of the left side."""
        return Quantity(self.amount + other.to(self.unit).amount, self.unit)

    def __mul__(self, factor: float) -> "Quantity":
        return Quantity(self.amount * factor, self.unit)

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}"
