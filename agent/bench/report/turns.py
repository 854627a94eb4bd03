"""The turns of an attempt in short: what the model wrote, called and got back, and the tests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.bench.report.attempts import shortened
from agent.bench.report.markup import Markup, join, tag
from agent.cli.text import count, duration
from agent.trajectory import Event

#: Less than this of a turn says nothing.
_LEAST = 160
#: Failing tests that are named.
_NAMED = 3


@dataclass
class _Turn:
    number: int
    reasoning: str = ""
    said: str = ""
    calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    results: dict[str, Event] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)


def turns(events: Sequence[Event], room: int) -> Markup | None:
    """All turns where they fit into about `room` characters, each shortened to its share of them;
    otherwise the first and the last ones. Raises KeyError, TypeError, ValueError, OverflowError or
    AttributeError for events that were never written so."""
    told = list(_turns(events))
    if not told:
        return None
    fitting = max(2, room // _LEAST)
    share = max(_LEAST, room // min(fitting, len(told)))
    if len(told) <= fitting:
        shown: list[Markup] = [_shown(turn, share) for turn in told]
    else:
        last = fitting // 2
        first = fitting - last
        left = count(len(told) - fitting, "turn")
        gap = tag("p", f"{left} not shown here.", class_="quiet")
        shown = [_shown(turn, share) for turn in told[:first]]
        shown += [gap, *(_shown(turn, share) for turn in told[-last:])]
    return join(tag("h5", "Turns"), *shown)


def _turns(events: Sequence[Event]) -> Iterator[_Turn]:
    turn: _Turn | None = None
    for event in events:
        kind = event["type"]
        if kind == "turn.started":
            if turn:
                yield turn
            turn = _Turn(event["turn"])
        elif turn is not None:
            _take(turn, kind, event)
    if turn:
        yield turn


def _take(turn: _Turn, kind: str, event: Event) -> None:
    match kind:
        case "turn":
            turn.reasoning = str(event["message"]["reasoning"]).strip()
            turn.said = str(event["message"]["text"]).strip()
            if event.get("problem"):
                turn.lines.append(("warn", f"could not be used: {event['problem']}"))
        case "call":
            turn.calls[event["id"]] = (event["name"], event["arguments"])
        case "result":
            turn.results[event["id"]] = event
        case "tests":
            turn.lines.append(_tests(event["report"]))
        case "verdict":
            verdict = event["verdict"]
            turn.lines.append(("", f"clean room: {verdict['status']}"))
        case "malformed":
            turn.lines.append(("warn", f"malformed: {event['problem']}"))
        case "cut":
            turn.lines.append(("warn", f"reasoning cut: {event['detail']}"))


def _tests(report: Mapping[str, Any]) -> tuple[str, str]:
    results = report["results"]
    failing = [str(each["id"]) for each in results if each["status"] in {"failed", "error"}]
    passed = sum(each["status"] in {"passed", "xpassed"} for each in results)
    said = f"tests: {passed} passing, {len(failing)} failing ({duration(report['seconds'])})"
    if failing:
        named = ", ".join(failing[:_NAMED])
        more = f" and {len(failing) - _NAMED} more" if len(failing) > _NAMED else ""
        said += f": {named}{more}"
    if report["errors"]:
        said += f"; could not be run: {report['errors'][0]}"
    return ("", said)


def _shown(turn: _Turn, room: int) -> Markup:
    """One turn within its room: a third for what the model wrote, the rest for its calls."""
    calls = len(turn.calls)
    wrote = room // 3 if calls else room // 2
    each = max(60, (room - wrote) // max(1, calls))
    most = max(1, room // 60)
    parts: list[object] = [tag("b", f"turn {turn.number}", class_="turn")]
    if turn.reasoning:
        parts.append(tag("p", shortened(turn.reasoning, wrote), class_="reasoning"))
    if turn.said:
        parts.append(tag("p", shortened(turn.said, wrote)))
    for id, (name, arguments) in list(turn.calls.items())[:most]:
        parts += _call(name, arguments, turn.results.get(id), each)
    if calls > most:
        parts.append(tag("p", count(calls - most, "more call"), class_="quiet"))
    for kind, line in turn.lines[-most:]:
        parts.append(tag("p", shortened(line, max(80, each)), class_=f"line {kind}".strip()))
    return tag("div", *parts, class_="step")


def _call(name: str, arguments: str, result: Event | None, room: int) -> Iterator[Markup]:
    head = [tag("b", name), " ", tag("code", shortened(str(arguments), max(40, room // 2)))]
    if result is None:
        yield tag("p", *head, " no result", class_="call")
        return
    state = "" if result["ok"] else " refused"
    yield tag("p", *head, tag("i", f"{state} {duration(result['seconds'])}"), class_="call")
    shown = shortened(str(result["text"]).strip("\n"), room // 2)
    if shown:
        yield tag("pre", shown, tabindex=0)
