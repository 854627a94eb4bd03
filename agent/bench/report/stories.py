"""Each attempt's story: what its verdict says, its change, and its turns with their calls.

A page has room for so many characters, which its attempts share. What does not fit is shortened in
place, and the story says where the whole of it is.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from urllib.parse import quote

from agent.bench.report.attempts import Attempt, RunFolder, shortened
from agent.bench.report.badges import badge
from agent.bench.report.evidence import Evidence, folder_of
from agent.bench.report.markup import Markup, join, tag
from agent.bench.report.turns import turns
from agent.bench.report.words import dollars, short
from agent.cli.text import count, duration, size
from agent.trajectory import Event

#: Characters of stories in a page, and of one attempt at most and at least.
_PAGE = 9_000_000
_MOST, _LEAST = 40_000, 400
_DIFF_SHARE = 0.4
_REASONS_SHARE = 0.2


def anchor(number: int) -> str:
    """What the story of the table's n-th task is linked by."""
    return f"task-{number}"


def stories(run: RunFolder, found: Iterator[tuple[Attempt, Evidence]]) -> Iterator[Markup]:
    """A closed block for each task that was attempted, in the order of the table."""
    total = sum(1 for _ in run.attempts)
    room = max(_LEAST, min(_MOST, _PAGE // max(1, total)))
    numbers = {name: number for number, name in enumerate(run.tasks)}
    for name, several in groupby(found, lambda pair: pair[0].task):
        parts, marks = [], []
        for attempt, left in several:
            marks.append(badge(attempt.status))
            parts.append(_attempt(run, attempt, left, room))
        yield tag(
            "details",
            tag("summary", tag("span", name, class_="name"), *marks),
            # Following a link to what is inside opens the block.
            tag("div", *parts, id=anchor(numbers[name]), class_="story"),
        )


def _attempt(run: RunFolder, attempt: Attempt, found: Evidence, room: int) -> Markup:
    return tag(
        "section",
        tag("h4", f"Attempt {attempt.number}: {attempt.status}") if run.planned > 1 else None,
        tag("p", _facts(attempt), class_="facts"),
        *(tag("p", problem, class_="warn") for problem in found.problems),
        readable(lambda: _reasons(attempt, found, int(room * _REASONS_SHARE))),
        change(found.patch, int(room * _DIFF_SHARE)),
        readable(lambda: turns(found.events, int(room * (1 - _DIFF_SHARE - _REASONS_SHARE)))),
        _whole(run, attempt),
    )


def _facts(attempt: Attempt) -> str:
    facts = [count(attempt.turns, "turn"), f"{short(attempt.tokens)} tokens"]
    if attempt.cost is not None:
        facts.append(dollars(attempt.cost))
    facts += [duration(attempt.seconds), f"{duration(attempt.verify_seconds)} of it in clean rooms"]
    if attempt.grade:
        facts.append(f"grade: {attempt.grade}")
    if attempt.limit:
        facts.append(f"ended by its {attempt.limit} limit")
    if attempt.malformed:
        facts.append(count(attempt.malformed, "malformed turn"))
    if attempt.retries:
        facts.append(f"begun again {count(attempt.retries, 'time')} for reasons of infrastructure")
    return " · ".join(facts)


def readable(told: Callable[[], Markup | None]) -> Markup | None:
    """A part of a story; where its events are not what they should be, a word of it."""
    try:
        return told()
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return tag("p", "A part of its trajectory cannot be read.", class_="warn")


def _reasons(attempt: Attempt, found: Evidence, room: int) -> Markup:
    """Why it ended so, and what each of its verdicts says."""
    verdicts = [event["verdict"] for event in found.events if event["type"] == "verdict"]
    reason = tag("p", shortened(attempt.reason, max(200, room)), class_="reason")
    return join(
        # The last verdict says it with the same words, or more of them.
        None if verdicts and attempt.reason in _told(verdicts[-1]) else reason,
        clean_rooms(found.events, room),
    )


def clean_rooms(events: Sequence[Event], room: int) -> Markup | None:
    """What each verdict says, None where there is none. Raises as `turns` does."""
    verdicts = [event["verdict"] for event in events if event["type"] == "verdict"]
    each = max(120, room // max(1, len(verdicts)))
    lines = [tag("li", *_verdict(verdict, each)) for verdict in verdicts[-10:]]
    if not lines:
        return None
    return join(tag("h5", "Clean rooms"), tag("ol", *lines, class_="verdicts"))


def _told(verdict: Event) -> str:
    return " ".join(map(str, verdict["reasons"]))


def _verdict(verdict: Event, room: int) -> Iterator[object]:
    yield tag("b", verdict["status"])
    yield f" ({duration(verdict['seconds'])}) "
    yield shortened(_told(verdict), room)
    tests = verdict.get("tests")
    if tests:
        yield tag("span", f" {tests['passed']} of {tests['total']} tests pass.", class_="quiet")


def change(patch: bytes | None, room: int, rest: str = "predictions.jsonl has all of it") -> Markup:
    """A diff within its room, coloured; `rest` says where all of it is."""
    if not patch:
        return tag("p", "No change was handed in.", class_="quiet")
    shown = patch[: room * 4].decode("utf-8", "replace")
    cut = len(shown) > room or len(patch) > room * 4
    lines = shown[:room].rstrip("\n").split("\n")
    return join(
        tag("h5", f"Change ({size(len(patch))})"),
        tag("pre", *_coloured(lines), class_="diff", tabindex=0),
        tag("p", f"The change goes on; {rest}.", class_="quiet") if cut else None,
    )


def _coloured(lines: Sequence[str]) -> Iterator[object]:
    for line in lines:
        if line.startswith(("+++", "---", "diff ", "index ", "new file", "deleted file")):
            yield tag("span", line, class_="head")
        elif line.startswith("@@"):
            yield tag("span", line, class_="hunk")
        elif line.startswith("+"):
            yield tag("ins", line)
        elif line.startswith("-"):
            yield tag("del", line)
        else:
            yield line
        yield "\n"


def _whole(run: RunFolder, attempt: Attempt) -> Markup | None:
    """Where the story stands whole, as a link that works where the report lies in the run."""
    folder = folder_of(run, attempt)
    if folder is None or not (folder / "trajectory.jsonl").exists():
        return None
    place = f"{attempt.folder}/trajectory.jsonl"
    return tag("p", "Whole: ", tag("a", place, href=f"./{quote(place)}"), class_="quiet")
