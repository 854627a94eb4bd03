"""Plots as inline SVG: coloured by the page's classes, told in words by a title and a description.

They are drawn narrow, so that their text stays readable on a phone; a wide page shows several in a
row. Whatever a plot shows stands in a table of the page, too.
"""

import re
from collections.abc import Callable, Sequence
from math import ceil, floor, log10

from agent.bench.report.intervals import Interval
from agent.bench.report.markup import Markup, join, tag
from agent.bench.report.summary import Passes, quantile
from agent.bench.report.words import interval, percent

WIDTH = 360
_LEFT, _RIGHT = 36, 350
_BINS = 18


def picture(height: int, title: str, told: str, *shapes: object, stretched: bool = False) -> Markup:
    """A plot, with what it says in words. No two of a page have the same title."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower())
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", told, id=f"{name}-told"),
        *shapes,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_labelledby=f"{name}-title {name}-told",
        preserveAspectRatio="none" if stretched else None,
        class_="stretched" if stretched else None,
    )


def label(x: float, y: float, content: str, anchor: str = "middle", kind: str = "tick") -> Markup:
    return tag("text", content, x=_at(x), y=_at(y), text_anchor=anchor, class_=kind)


def box(x: float, y: float, width: float, height: float, kind: str, told: str = "") -> Markup:
    """A rectangle; `told` is shown where a pointer rests on it."""
    return tag(
        "rect",
        *([tag("title", told)] if told else []),
        x=_at(x),
        y=_at(y),
        width=_at(max(0.0, width)),
        height=_at(max(0.0, height)),
        class_=kind,
    )


def stroke(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    return tag("polyline", points=" ".join(f"{_at(x)},{_at(y)}" for x, y in points), class_=kind)


def _at(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def strip(found: Interval, what: str, ends: tuple[float, float] = (0.0, 1.0)) -> Markup:
    """A share on the line from 0 to 100%, or from one end to the other, with its interval."""
    start, end = ends

    def x(share: float) -> float:
        return 18 + (share - start) / (end - start) * (WIDTH - 36)

    marks = [start + quarter / 4 * (end - start) for quarter in range(5)]
    ticks = [
        join(stroke([(x(s), 13), (x(s), 29)], "grid"), label(x(s), 42, f"{100 * s:.4g}%"))
        for s in marks
    ]
    return picture(
        46,
        what,
        f"{interval(found)} on a line from {100 * start:.4g} to {100 * end:.4g}%.",
        *ticks,
        stroke([(x(start), 21), (x(end), 21)], "axis"),
        box(x(found.low), 15, x(found.high) - x(found.low), 12, "band"),
        tag("circle", cx=_at(x(found.value)), cy=21, r=6, class_="dot"),
    )


def stack(parts: Sequence[tuple[str, str, int]], title: str) -> Markup:
    """One bar of parts, each a name, a class and a number."""
    total = sum(number for _, _, number in parts) or 1
    told = "; ".join(f"{name}: {number}" for name, _, number in parts)
    shapes, x = [], 0.0
    for name, kind, number in parts:
        width = number / total * WIDTH
        shapes.append(box(x, 0, width - (1 if width > 2 else 0), 18, kind, f"{name}: {number}"))
        x += width
    return picture(18, title, f"{told}.", *shapes, stretched=True)


def histogram(
    values: Sequence[tuple[float, bool]],
    title: str,
    shown: Callable[[float], str],
    step: Callable[[float], float],
) -> Markup:
    """How a measure is spread, attempts that solved their task below the others. A long tail is
    one last bin; `step` gives a good width of bins that is not below the one it gets."""
    ordered = sorted(value for value, _ in values)
    far = quantile(ordered, 0.97)
    top = ordered[-1] if ordered[-1] <= 2 * far else far
    width = step((top or 1) / _BINS)
    number = max(1, min(_BINS + 2, floor((top or 1) / width) + 1))
    bins = [[0, 0] for _ in range(number)]
    for value, did in values:
        bins[min(number - 1, int(value / width))][0 if did else 1] += 1
    cut = ordered[-1] >= number * width
    most = max(sum(pair) for pair in bins)
    bottom, height = 138, 116
    each = (_RIGHT - _LEFT) / number
    shapes = [_levels(most, bottom, height)]
    for place, (solved, rest) in enumerate(bins):
        x = _LEFT + place * each
        low, high = height * solved / most, height * (solved + rest) / most
        end = "more" if cut and place == number - 1 else shown((place + 1) * width)
        told = f"{shown(place * width)} to {end}: {solved} solved, {rest} not"
        shapes.append(box(x + 0.5, bottom - low, each - 1, low, "solved", told))
        shapes.append(box(x + 0.5, bottom - high, each - 1, high - low, "rest", told))
    marks = sorted({0, number // 3, 2 * number // 3, number})
    for mark in marks:
        end = "end" if mark == number else "start" if mark == 0 else "middle"
        more = "+" if cut and mark == number else ""
        at = mark - 1 if more else mark
        shapes.append(label(_LEFT + mark * each, bottom + 15, shown(at * width) + more, end))
    told = (
        f"{len(values)} attempts from {shown(ordered[0])} to {shown(ordered[-1])}, "
        f"half of them up to {shown(quantile(ordered, 0.5))}."
    )
    return picture(158, title, told, *shapes)


def _levels(most: int, bottom: float, height: float) -> Markup:
    """Lines and numbers of the upright axis from 0 to the largest count."""
    step = max(1, ceil(decimal(most / 3)))
    levels = range(0, most + 1, step)
    return join(
        *(
            join(
                stroke([(_LEFT, y), (_RIGHT, y)], "axis" if level == 0 else "grid"),
                label(_LEFT - 5, y + 4, f"{level:,}", "end"),
            )
            for level in levels
            for y in (bottom - height * level / most,)
        )
    )


def decimal(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** floor(log10(least))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= least * 0.999)


def whole(least: float) -> float:
    """As `decimal`, of whole numbers."""
    return max(1.0, float(ceil(decimal(least))))


def clock(least: float) -> float:
    """The smallest step of time, in seconds, that people count in and is not below `least`."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    return next((float(step) for step in steps if step >= least), 3600 * decimal(least / 3600))


def columns(numbers: Sequence[int], title: str, told: str, names: Sequence[str]) -> Markup:
    """Bars side by side, each with its name and its number."""
    most = max(numbers) or 1
    bottom, height = 132, 104
    each = (WIDTH - 20) / len(numbers)
    shapes = [stroke([(10, bottom), (WIDTH - 10, bottom)], "axis")]
    for place, (number, name) in enumerate(zip(numbers, names, strict=True)):
        x, tall = 10 + place * each, height * number / most
        middle = x + each / 2
        shapes += [
            box(x + each * 0.14, bottom - tall, each * 0.72, tall, "solved"),
            label(middle, bottom - tall - 5, f"{number:,}", kind="value"),
            label(middle, bottom + 15, name),
        ]
    return picture(152, title, told, *shapes)


def curves(passes: Sequence[Passes]) -> Markup:
    """pass@k and pass^k over k, each in the band of its intervals."""
    bottom, height, left, right = 160, 140, 40, 266
    most = passes[-1].k

    def x(k: int) -> float:
        return left + (k - 1) / max(1, most - 1) * (right - left)

    def y(share: float) -> float:
        return bottom - share * height

    shapes: list[Markup] = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        kind = "axis" if share == 0 else "grid"
        shapes.append(stroke([(left, y(share)), (right, y(share))], kind))
        shapes.append(label(left - 6, y(share) + 4, f"{share:.0%}", "end"))
    shapes += [label(x(each.k), bottom + 15, str(each.k)) for each in passes]
    lines = (
        ("pass@k", "line", [(each.k, each.at_least_one) for each in passes]),
        ("pass^k", "line every", [(each.k, each.every) for each in passes]),
    )
    for name, kind, line in lines:
        upper = [(x(k), y(found.high)) for k, found in line]
        lower = [(x(k), y(found.low)) for k, found in reversed(line)]
        shapes.append(stroke([*upper, *lower], f"band {kind}"))
        shapes.append(stroke([(x(k), y(found.value)) for k, found in line], kind))
        end = line[-1][1].value
        nudge = 0 if abs(passes[-1].at_least_one.value - passes[-1].every.value) > 0.12 else 8
        shift = -nudge if kind == "line" else nudge
        shapes.append(label(right + 6, y(end) + 4 + shift, f"{name} {percent(end)}", "start"))
    told = "; ".join(
        f"k = {each.k}: pass@k {interval(each.at_least_one)}, pass^k {interval(each.every)}"
        for each in passes
    )
    return picture(180, "pass@k and pass^k", f"{told}.", *shapes)
