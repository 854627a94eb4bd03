"""Numbers as people read them."""

from agent.bench.report.intervals import Interval


def percent(share: float) -> str:
    """`62.4%`; whole at the ends."""
    return f"{100 * share:.0f}%" if share in (0, 1) else f"{100 * share:.1f}%"


def interval(found: Interval) -> str:
    """`62.4% [55.1, 69.2]`, the interval without its signs of percent."""
    return f"{percent(found.value)} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def points(difference: float) -> str:
    """A difference of shares in points of percent, with its sign."""
    return f"{100 * difference:+.1f}"


def short(number: float) -> str:
    """`950`, `12.3 k`, `4.56 M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            value = number / size
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
    return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def dollars(amount: float) -> str:
    """`$12.34`; small amounts with as many digits as they need."""
    if amount == 0 or amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= 0.001 else f"${amount:.2g}"
