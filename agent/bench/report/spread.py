"""How time, turns, tokens and cost are spread over the attempts, and which took the most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nlargest

from agent.bench.report.attempts import Attempt, RunFolder
from agent.bench.report.badges import badge
from agent.bench.report.markup import Markup, tag
from agent.bench.report.overview import table
from agent.bench.report.plots import clock, decimal, histogram, whole
from agent.bench.report.stories import anchor
from agent.bench.report.summary import Distribution, Summary
from agent.bench.report.words import dollars, short
from agent.cli.text import duration

_LISTED = 10


@dataclass(frozen=True)
class _Measure:
    name: str
    spread: Distribution | None
    of: Callable[[Attempt], float | None]
    shown: Callable[[float], str]
    tick: Callable[[float], str]
    step: Callable[[float], float]


def _time(seconds: float) -> str:
    """A full number of a unit, where it is one."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds < 60 else duration(seconds)


def _money(amount: float) -> str:
    return f"${amount:.3g}"


def _measures(summary: Summary) -> list[_Measure]:
    every = [
        _Measure("Time", summary.seconds, lambda a: a.seconds or None, duration, _time, clock),
        _Measure(
            "Time in clean rooms",
            summary.verify_seconds,
            lambda a: a.verify_seconds or None,
            duration,
            _time,
            clock,
        ),
        _Measure("Turns", summary.turns, lambda a: a.turns, short, short, whole),
        _Measure("Tokens", summary.tokens, lambda a: a.tokens, short, short, whole),
        _Measure("Cost", summary.cost, lambda a: a.cost, dollars, _money, decimal),
    ]
    return [measure for measure in every if measure.spread and measure.spread.largest > 0]


def distributions(run: RunFolder, summary: Summary) -> Markup | None:
    """A plot and a row of numbers for each measure that is not 0 everywhere."""
    plots, rows = [], []
    for measure in _measures(summary):
        spread = measure.spread
        if spread is None:
            continue
        values = [
            (value, attempt.solved)
            for attempt in run.attempts
            if attempt.status != "unsupported"
            for value in (measure.of(attempt),)
            if value is not None
        ]
        title = f"{measure.name} of an attempt"
        plot = histogram(values, title, measure.tick, measure.step)
        plots.append(tag("figure", tag("figcaption", title), plot))
        numbers = (
            spread.smallest,
            spread.quartile,
            spread.median,
            spread.upper_quartile,
            spread.p90,
            spread.largest,
            spread.mean,
            spread.total,
        )
        cells = [tag("td", measure.shown(number), class_="num") for number in numbers]
        rows.append(tag("tr", tag("th", measure.name, scope="row"), *cells))
    if not plots:
        return None
    heads = ("", "Least", "25%", "Median", "75%", "90%", "Most", "Mean", "Total")
    key = tag(
        "p",
        tag("span", "", class_="key solved"),
        " solved their task  ",
        tag("span", "", class_="key rest"),
        " did not",
        class_="quiet legend",
    )
    return tag(
        "section",
        tag("h2", "What attempts took"),
        key,
        tag("div", *plots, class_="plots"),
        table(heads, rows, set(range(1, 9))),
    )


def extremes(run: RunFolder, summary: Summary) -> Markup | None:
    """The slowest and the most expensive attempts; by tokens where no price is known."""
    attempts = [attempt for attempt in run.attempts if attempt.status != "unsupported"]
    ran = [attempt for attempt in attempts if attempt.seconds > 0]
    slowest = nlargest(_LISTED, ran, key=lambda attempt: attempt.seconds)
    lists = [_listed(run, "Slowest", slowest, lambda a: duration(a.seconds))] if ran else []
    if summary.cost and summary.cost.largest > 0:
        dearest = nlargest(_LISTED, attempts, key=lambda attempt: attempt.cost or 0)
        lists.append(_listed(run, "Most expensive", dearest, lambda a: dollars(a.cost or 0)))
    elif summary.tokens and summary.tokens.largest > 0:
        dearest = nlargest(_LISTED, attempts, key=lambda attempt: attempt.tokens)
        lists.append(_listed(run, "Most tokens", dearest, lambda a: short(a.tokens)))
    return tag("section", tag("div", *lists, class_="pair")) if lists else None


def _listed(
    run: RunFolder, title: str, attempts: Sequence[Attempt], shown: Callable[[Attempt], str]
) -> Markup:
    places = {name: number for number, name in enumerate(run.tasks)}
    rows = [
        tag(
            "tr",
            tag("td", tag("a", _name(run, attempt), href=f"#{anchor(places[attempt.task])}")),
            tag("td", badge(attempt.status)),
            tag("td", shown(attempt), class_="num"),
        )
        for attempt in attempts
    ]
    return tag(
        "div", tag("h2", title), tag("table", tag("tbody", *rows)), class_="wide", tabindex=0
    )


def _name(run: RunFolder, attempt: Attempt) -> str:
    return attempt.task if run.planned == 1 else f"{attempt.task}, attempt {attempt.number}"
