"""Totals as a text table."""

from collections.abc import Sequence

from reports.summary import RegionTotal

HEADINGS = ("Region", "Sales", "Units", "Revenue")


def render(totals: Sequence[RegionTotal]) -> str:
    """A table with one row for each region and a last row for the sum."""
    rows = [(t.region, str(t.sales), str(t.units), f"{t.revenue:.2f}") for t in totals]
    rows.append(
        (
            "Total",
            str(sum(t.sales for t in totals)),
            str(sum(t.units for t in totals)),
            f"{sum(t.revenue for t in totals):.2f}",
        )
    )
    table = [HEADINGS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
    lines = []
    for name, *numbers in table:
        cells = [name.ljust(widths[0])]
        cells += [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)
