"""The table of all tasks. Its numbers are all in the page; a script only sorts and filters them."""

from collections.abc import Iterator, Sequence

from agent.bench.report.attempts import Attempt, RunFolder
from agent.bench.report.badges import badge, mark
from agent.bench.report.markup import Markup, tag
from agent.bench.report.stories import anchor
from agent.bench.report.words import dollars, short
from agent.cli.text import duration, size

_HEADS = (
    ("task", "Task"),
    ("outcome", "Outcome"),
    ("num", "Turns"),
    ("num", "Tokens"),
    ("num", "Cost"),
    ("num", "Time"),
    ("num", "Verified"),
    ("num", "Change"),
)
#: Signs for attempts that a row has room for.
_MARKS = 16


def rows(run: RunFolder) -> Iterator[Markup]:
    """The table's head, and a row for each task; a task's numbers are those of all its attempts."""
    heads = [tag("th", name, scope="col", class_=kind) for kind, name in _HEADS]
    yield tag("thead", tag("tr", *heads))
    yield Markup("<tbody>")
    for number, (name, attempts) in enumerate(run.tasks.items()):
        yield _row(name, attempts, number, run.planned)
    yield Markup("</tbody>")


def _row(name: str, attempts: Sequence[Attempt], number: int, planned: int) -> Markup:
    link = tag("a", name, href=f"#{anchor(number)}") if attempts else name
    statuses = " ".join(sorted({attempt.status for attempt in attempts})) or "not run"
    costs = [attempt.cost for attempt in attempts if attempt.cost is not None]
    seconds = sum(attempt.seconds for attempt in attempts)
    verified = sum(attempt.verify_seconds for attempt in attempts)
    tokens = sum(attempt.tokens for attempt in attempts)
    turns = sum(attempt.turns for attempt in attempts)
    patch = max((attempt.patch_bytes for attempt in attempts), default=0)
    return tag(
        "tr",
        tag("th", link, scope="row", class_="task"),
        _outcome(attempts, planned),
        _cell(turns, f"{turns:,}", attempts),
        _cell(tokens, short(tokens), attempts),
        _cell(sum(costs), dollars(sum(costs)), costs),
        _cell(round(seconds, 3), duration(seconds), attempts),
        _cell(round(verified, 3), duration(verified), attempts),
        _cell(patch, size(patch) if patch else "none", attempts),
        data_status=statuses,
    )


def _cell(value: float, shown: str, there: Sequence[object]) -> Markup:
    if not there:
        return tag("td", "–", class_="num", data_value=-1)
    return tag("td", shown, class_="num", data_value=value)


def _outcome(attempts: Sequence[Attempt], planned: int) -> Markup:
    """The outcome of a single attempt in a word; of several, how many solved, and a sign each."""
    if not attempts:
        return tag("td", tag("span", "not run", class_="quiet"), data_value="-2")
    solved = sum(attempt.solved for attempt in attempts)
    counted = sum(attempt.counts for attempt in attempts)
    value = solved / counted if counted else -1
    if planned == 1 and len(attempts) == 1:
        return tag("td", badge(attempts[0].status), data_value=value)
    said = tag("b", f"{solved} of {counted}") if counted else tag("b", "none counts")
    marks = [mark(attempt.status) for attempt in attempts[:_MARKS]]
    return tag("td", said, *marks, data_value=round(value, 6))
