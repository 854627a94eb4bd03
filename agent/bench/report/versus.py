"""The page of a comparison: two runs, what differs between them, and whether they can tell."""

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path

from agent.bench.report.attempts import RunFolder, shortened
from agent.bench.report.comparison import Comparison, Flip
from agent.bench.report.differences import Difference
from agent.bench.report.files import replaced
from agent.bench.report.markup import Markup, join, tag
from agent.bench.report.overview import table
from agent.bench.report.page import frame
from agent.bench.report.plots import strip
from agent.bench.report.telling import sentences
from agent.bench.report.words import percent, points

_LENGTH = 300


def write_versus(
    runs: Sequence[RunFolder],
    names: Sequence[str],
    found: Comparison,
    differences: Sequence[Difference],
    path: Path,
) -> None:
    """Writes the page. Raises OSError."""
    body = _body(runs, names, found, differences)
    with replaced(path) as stream:
        stream.writelines(frame(f"{names[0]} and {names[1]}", body))


def _body(
    runs: Sequence[RunFolder],
    names: Sequence[str],
    found: Comparison,
    differences: Sequence[Difference],
) -> Iterator[object]:
    first, second = names
    yield tag(
        "header",
        tag("p", "Greenroom benchmark comparison", class_="over"),
        tag("h1", f"{second} against {first}"),
        tag("p", "on ", tag("b", runs[0].suite)),
    )
    yield Markup("<main>")
    yield _headline(names, found)
    for name, flips in ((second, found.gained), (first, found.lost)):
        yield _flips(name, names, flips, single=bool(found.pairs))
    if found.left_out:
        said = "Without an attempt that counts in both runs: "
        yield tag("section", tag("h2", "Left out"), tag("p", said, ", ".join(found.left_out)))
    yield _differences(names, differences)
    yield Markup("</main>")
    yield tag("footer", tag("p", "What each number means: docs/reports.md of Greenroom."))


def _headline(names: Sequence[str], found: Comparison) -> Markup:
    change = found.change
    # From far enough below 0 to as far above it, in tenths.
    end = min(1.0, ceil(max(abs(change.low), abs(change.high), 0.1) * 10) / 10)
    _, *told = sentences(found, *names)
    return tag(
        "section",
        tag(
            "div",
            tag("p", points(change.value), tag("small", " points"), class_="figure"),
            tag("p", tag("b", f"95% interval {points(change.low)} to {points(change.high)}")),
            strip(change, "Difference of the shares solved", (-end, end)),
            *(tag("p", sentence, class_="reason") for sentence in told),
        ),
        _shares(names, found),
        class_="headline",
    )


def _shares(names: Sequence[str], found: Comparison) -> Markup:
    facts = [
        (names[0], percent(found.first)),
        (names[1], percent(found.second)),
        ("Tasks compared", f"{found.tasks:,}"),
    ]
    if found.pairs:
        facts += [
            ("Both solve", f"{found.pairs.both:,}"),
            (f"Only {names[0]}", f"{found.pairs.first:,}"),
            (f"Only {names[1]}", f"{found.pairs.second:,}"),
            ("Neither", f"{found.pairs.neither:,}"),
        ]
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)
    return tag("dl", *pairs, class_="facts-list")


def _flips(
    name: str, names: Sequence[str], flips: Sequence[Flip], *, single: bool
) -> Markup | None:
    if not flips:
        return None
    title = tag("h2", f"Solved {'only' if single else 'more often'} by {name}")
    if single:
        tasks = join(*(tag("li", flip.task) for flip in flips))
        return tag("section", title, tag("ul", tasks, class_="names"))
    rows = [
        tag(
            "tr",
            tag("th", flip.task, scope="row"),
            tag("td", percent(flip.first), class_="num"),
            tag("td", percent(flip.second), class_="num"),
        )
        for flip in flips
    ]
    return tag("section", title, table(("Task", *names), rows, {1, 2}))


def _differences(names: Sequence[str], found: Sequence[Difference]) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", each.key, scope="row"),
            tag("td", _value(each.first)),
            tag("td", _value(each.second)),
        )
        for each in found
    ]
    said = tag("p", "The manifests are the same.", class_="quiet")
    shown = table(("Key of the manifest", *names), rows, set()) if rows else said
    return tag("section", tag("h2", "What differs"), shown)


def _value(value: object) -> str:
    return "not there" if value is None else shortened(str(value), _LENGTH)
