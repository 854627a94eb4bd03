"""Read sales from CSV."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

COLUMNS = ("region", "product", "units", "price")


class ReportError(ValueError):
    """A file that cannot be read; the message names the line."""


@dataclass(frozen=True)
class Sale:
    region: str
    product: str
    units: int
    price: Decimal

    @property
    def revenue(self) -> Decimal:
        return self.units * self.price


def read_sales(lines: Iterable[str]) -> list[Sale]:
    """All sales of a CSV text with a header line."""
    reader = csv.DictReader(lines)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise ReportError(f"column {missing[0]} is missing")
    sales = []
    for row in reader:
        try:
            units, price = int(row["units"]), Decimal(row["price"])
        except (ValueError, InvalidOperation) as error:
            raise ReportError(f"line {reader.line_num}: not a number") from error
        sales.append(Sale(row["region"].strip(), row["product"].strip(), units, price))
    return sales
