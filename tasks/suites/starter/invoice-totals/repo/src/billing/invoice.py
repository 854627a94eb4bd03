"""An invoice and its sums."""

from dataclasses import dataclass, field
from decimal import Decimal

from billing.money import money, percent


@dataclass(frozen=True)
class Line:
    text: str
    quantity: int
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        return money(self.quantity * self.unit_price)


@dataclass
class Invoice:
    """A bill; the discount is granted on the subtotal, and tax is due on what remains."""

    number: str
    tax_rate: Decimal = Decimal(20)
    discount_rate: Decimal = Decimal(0)
    lines: list[Line] = field(default_factory=list)

    def add(self, text: str, quantity: int, unit_price: str) -> None:
        if quantity < 1:
            raise ValueError(f"{text}: the quantity must be at least 1")
        self.lines.append(Line(text, quantity, Decimal(unit_price)))

    @property
    def subtotal(self) -> Decimal:
        return sum((line.amount for line in self.lines), money(0))

    @property
    def discount(self) -> Decimal:
        """What is taken off the subtotal, as a positive amount."""
        return percent(self.subtotal, self.discount_rate)

    @property
    def taxable(self) -> Decimal:
        return self.subtotal + self.discount

    @property
    def tax(self) -> Decimal:
        return percent(self.taxable, self.tax_rate)

    @property
    def total(self) -> Decimal:
        return self.taxable + self.tax
