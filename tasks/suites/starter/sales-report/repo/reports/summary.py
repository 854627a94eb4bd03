"""Sums by region."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from reports.reader import Sale


@dataclass(frozen=True)
class RegionTotal:
    region: str
    sales: int
    units: int
    revenue: Decimal


def total_revenue(sales: Iterable[Sale]) -> Decimal:
    return sum((sale.revenue for sale in sales), Decimal(0))


def by_region(sales: Iterable[Sale]) -> list[RegionTotal]:
    """One total for each region, by name."""
    everything = list(sales)
    groups: dict[str, list[Sale]] = {}
    for sale in everything:
        groups.setdefault(sale.region, []).append(sale)
    return [
        RegionTotal(
            region=region,
            sales=len(group),
            units=sum(sale.units for sale in group),
            revenue=total_revenue(everything),
        )
        for region, group in sorted(groups.items())
    ]


def best_region(sales: Iterable[Sale]) -> str | None:
    """The region that sold the most units; None without any sales."""
    totals = by_region(sales)
    return max(totals, key=lambda total: total.units).region if totals else None
