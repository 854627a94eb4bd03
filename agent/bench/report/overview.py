"""The top of the page: what was solved, how sure that is, what became of the attempts."""

from collections.abc import Iterator, Sequence

from agent.bench.report.attempts import RunFolder
from agent.bench.report.badges import MEANINGS, badge, kind
from agent.bench.report.markup import Markup, join, tag
from agent.bench.report.plots import columns, curves, stack, strip
from agent.bench.report.summary import APART, Summary
from agent.bench.report.words import dollars, interval, percent, short
from agent.cli.text import count, duration

_METHODS = {
    "wilson": "Wilson's 95% interval over tasks, one attempt at each.",
    "bootstrap": "95% interval by a bootstrap over tasks; a task's attempts stay together.",
}
#: Columns of how many attempts solved a task; more would not be readable.
_MOST_COLUMNS = 12
_DAMAGES = 20


def result(summary: Summary) -> str:
    """The one number in a line."""
    if summary.rate is None:
        return "no attempt counts yet"
    what = "solved" if summary.planned == 1 else "pass@1"
    over = count(summary.counted, "task")
    return f"{what} {interval(summary.rate)} of {over}; {summary.apart} attempts not counted"


def headline(run: RunFolder, summary: Summary) -> Markup:
    """The one number, with its interval, and the facts beside it."""
    if summary.rate is None:
        said = tag("p", "No attempt counts yet.", class_="figure")
        return tag("section", said, _facts(run, summary), class_="headline")
    rate = summary.rate
    what = "solved" if summary.planned == 1 else "pass@1"
    number = join(percent(rate.value), tag("small", f" {what}"))
    bounds = f"95% interval {percent(rate.low)} to {percent(rate.high)}"
    denominator = (
        f"{summary.statuses['solved']:,} of {count(summary.counted, 'task')}"
        if summary.planned == 1
        else f"over {count(summary.counted, 'task')}, {summary.planned} attempts at each"
    )
    return tag(
        "section",
        tag(
            "div",
            tag("p", number, class_="figure"),
            tag("p", tag("b", bounds), f" · {denominator}"),
            strip(rate, "Share of tasks solved"),
            tag("p", _METHODS[summary.method], class_="quiet"),
        ),
        _facts(run, summary),
        class_="headline",
    )


def _facts(run: RunFolder, summary: Summary) -> Markup:
    unknown = "not known" if run.manifest.get("way", "model") == "model" else "none"
    estimated = " (partly estimated)" if summary.estimated else ""
    facts = [
        ("Tasks", f"{summary.tasks:,}"),
        ("Attempts", f"{summary.attempts:,} of {summary.expected:,}"),
        ("Not counted", f"{summary.apart:,}"),
        (
            "Tokens per solved task",
            short(summary.tokens_per_solved) if summary.tokens_per_solved else unknown,
        ),
        (
            "Cost per solved task",
            unknown if summary.cost_per_solved is None else dollars(summary.cost_per_solved),
        ),
        (
            "Tokens",
            f"{short(summary.input_tokens)} in ({short(summary.cached_tokens)} cached), "
            f"{short(summary.output_tokens)} out{estimated}"
            if summary.input_tokens or summary.output_tokens
            else "none",
        ),
        ("Cost", dollars(summary.cost.total) if summary.cost else unknown),
        ("Time of all attempts", duration(summary.seconds.total) if summary.seconds else unknown),
    ]
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)
    return tag("dl", *pairs, class_="facts-list")


def notices(run: RunFolder, summary: Summary) -> Iterator[Markup | None]:
    """What a reader has to know before the numbers."""
    if not run.finished:
        done = f"{summary.attempts:,} of {summary.expected:,} attempts"
        yield _notice("This run is not finished", f"It has the results of {done}.")
    if summary.apart:
        parts = [f"{summary.statuses[status]} {status}" for status in APART]
        yield _notice(
            f"{count(summary.apart, 'attempt')} not in the numbers",
            f"{', '.join(parts)}. They say nothing about who made the patches, and are in no "
            "denominator.",
        )
    doubtful = summary.statuses["tampered"] + summary.statuses["suspect"]
    if doubtful:
        yield _notice(
            f"{count(doubtful, 'attempt')} to look at",
            f"{summary.statuses['tampered']} tampered, {summary.statuses['suspect']} suspect. "
            "They count as attempts and not as solved.",
        )
    if summary.cost and summary.unpriced:
        yield _notice(
            "The cost is not whole", f"{count(summary.unpriced, 'attempt')} have no known price."
        )
    yield damaged(run.damages)


def damaged(damages: Sequence[str]) -> Markup | None:
    """What cannot be read of the run, the first ones by name."""
    if not damages:
        return None
    shown = [tag("li", damage) for damage in damages[:_DAMAGES]]
    if len(damages) > _DAMAGES:
        shown.append(tag("li", f"and {len(damages) - _DAMAGES} more; report.json has them all"))
    return tag("div", tag("b", "Damaged"), tag("ul", *shown), class_="notice bad")


def _notice(title: str, said: str) -> Markup:
    return tag("p", tag("b", title), ". ", said, class_="notice")


def outcomes(summary: Summary) -> Markup:
    """What became of the attempts, those that do not count set apart."""
    statuses = [(status, number) for status, number in summary.statuses.items() if number]
    counted = summary.attempts - summary.apart
    rows = []
    for status, number in statuses:
        apart = status in APART
        share = "not counted" if apart else percent(number / counted)
        rows.append(
            tag(
                "tr",
                tag(
                    "th",
                    badge(status),
                    tag("span", MEANINGS[status], class_="meaning"),
                    scope="row",
                ),
                tag("td", f"{number:,}", class_="num"),
                tag("td", share, class_="num"),
            )
        )
    heads = ("Outcome", "Attempts", "Of those that count")
    return tag(
        "section",
        tag("h2", "Outcomes"),
        stack([(status, kind(status), number) for status, number in statuses], "Outcomes"),
        table(heads, rows, {1, 2}),
        _limits(summary),
    )


def _limits(summary: Summary) -> Markup | None:
    """How many attempts a budget ended."""
    if not summary.limits:
        return None
    by = sorted(summary.limits.items(), key=lambda pair: -pair[1])
    said = ", ".join(f"{number:,} by the {name} limit" for name, number in by)
    return tag("p", f"Ended by a budget: {said}.", class_="quiet")


def repeated(run: RunFolder, summary: Summary) -> Markup | None:
    """Of several attempts: pass@k, pass^k, and how alike the attempts at a task are."""
    if summary.method != "bootstrap":
        return None
    rows = [
        tag(
            "tr",
            tag("th", f"k = {each.k}", scope="row"),
            tag("td", interval(each.at_least_one), class_="num"),
            tag("td", interval(each.every), class_="num"),
            tag("td", f"{each.tasks:,}", class_="num"),
        )
        for each in summary.passes
    ]
    heads = ("", "pass@k: one of k solves it", "pass^k: all k solve it", "Tasks")
    plots = (
        [tag("figure", tag("figcaption", "pass@k and pass^k"), curves(summary.passes))]
        if len(summary.passes) > 1
        else []
    )
    if spread := _agreement(run):
        plots.append(
            tag("figure", tag("figcaption", "Tasks by how often they were solved"), spread)
        )
    return tag(
        "section",
        tag("h2", "Repeated attempts"),
        tag("div", *plots, class_="plots"),
        table(heads, rows, {1, 2, 3}),
    )


def _agreement(run: RunFolder) -> Markup | None:
    """How many tasks were solved by none, some and all of their attempts."""
    if not 1 < run.planned < _MOST_COLUMNS:
        return None
    tally = [0] * (run.planned + 1)
    for attempts in run.tasks.values():
        counted = [attempt.solved for attempt in attempts if attempt.counts]
        if len(counted) == run.planned:
            tally[sum(counted)] += 1
    if not any(tally):
        return None
    told = "; ".join(f"{solved} of {run.planned}: {tasks}" for solved, tasks in enumerate(tally))
    names = [f"{solved} of {run.planned}" for solved in range(run.planned + 1)]
    title = "Tasks by how many of their attempts solved them"
    return columns(tally, title, f"{told}.", names)


def table(heads: Sequence[str], rows: Sequence[Markup], numbers: set[int]) -> Markup:
    head = [
        tag("th", name, scope="col", class_="num" if place in numbers else None)
        for place, name in enumerate(heads)
    ]
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows)),
        class_="wide",
        tabindex=0,
    )
