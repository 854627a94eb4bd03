"""The JSON lines that the harness's own pytest and unittest plugins send (tasks/plugins)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from tasks.formats.parsed import Parsed, by_id, clean, test_id
from tasks.task import NOT_COLLECTED, Executed, Frame, Status, TestResult

MOST_SESSIONS = 1_000  # test programs in one command
MOST_STRANGE = 1_000  # lines: whoever writes so many others gets no more of our time
_STATUSES = frozenset(get_args(Status))


@dataclass
class _Session:
    """One test program of the command; several may share a pipe, told apart by process id."""

    results: list[TestResult] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    uncollected: list[str] = field(default_factory=list)
    collected: set[str] = field(default_factory=set)
    executed: dict[str, tuple[Executed, ...]] = field(default_factory=dict)
    running: dict[str, None] = field(default_factory=dict)
    stops: list[str] = field(default_factory=list)
    started: bool = False
    exit_code: int | None = None


def parse_events(data: bytes) -> Parsed:
    """Fold event lines into results.

    A test that was running when its session broke off is an "error" that says so. Lines that are
    no events make the run incomplete: something else wrote to the pipe, or it was cut.
    """
    sessions: dict[Any, _Session] = {}
    strange = 0
    for line in data.splitlines():
        event = _event(line)
        if event is None or (event["s"] not in sessions and len(sessions) >= MOST_SESSIONS):
            strange += 1
            if strange >= MOST_STRANGE:
                break
        else:
            _take(sessions.setdefault(event["s"], _Session()), event)
    for session in sessions.values():
        _close(session)
    reasons = [reason for session in sessions.values() if (reason := _unfinished(session))]
    if strange:
        reasons.append(f"{strange} lines of the test events could not be read")
    if not any(session.started for session in sessions.values()):
        reasons.insert(0, "no test session started")
    return Parsed(
        results=by_id(result for session in sessions.values() for result in session.results),
        errors=tuple(error for session in sessions.values() for error in session.errors),
        ended=not reasons,
        reason="; ".join(reasons),
        sessions=tuple(s.exit_code for s in sessions.values() if s.exit_code is not None),
        unfinished=tuple(id for s in sessions.values() if s.exit_code is None for id in s.running),
        executed={
            id: rows for session in sessions.values() for id, rows in session.executed.items()
        },
    )


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("e"), str):
        return None
    return event if isinstance(event.get("s"), int) else None


def _take(session: _Session, event: Mapping[str, Any]) -> None:
    kind, id = event["e"], test_id(_text(event.get("id")))
    if kind == "start":
        session.started = True
    elif kind == "collected":
        session.collected.update(test_id(_text(one)) for one in _list(event.get("ids")))
    elif kind == "run":
        session.running[id] = None
    elif kind == "test":
        session.running.pop(id, None)
        session.results.append(_result(id, event))
    elif kind == "uncollected":
        session.uncollected.append(id)
        session.results.append(_result(id, {**event, "status": "error"}))
        session.errors.append(f"{id}{NOT_COLLECTED}{_text(event.get('message'))}")
    elif kind == "trace":
        session.executed[id] = tuple(_executed(event.get("x")))
    elif kind == "internal":
        session.errors.append(f"The test program failed inside: {_text(event.get('message'))}")
    elif kind == "stop":
        session.stops.append(_text(event.get("message")))
    elif kind == "end":
        code = event.get("exit")
        session.exit_code = code if isinstance(code, int) else -1


def _result(id: str, event: Mapping[str, Any]) -> TestResult:
    status = event.get("status")
    file = event.get("file")
    return TestResult(
        id=id,
        status=cast(Status, status) if _text(status) in _STATUSES else "error",
        seconds=_number(event.get("seconds")),
        message=_text(event.get("message")),
        detail=_text(event.get("detail")),
        frames=tuple(_frames(event.get("frames"))),
        file=_text(file) if isinstance(file, str) else None,
    )


def _close(session: _Session) -> None:
    if session.exit_code is None:
        for id in session.running:
            session.results.append(
                TestResult(id, "error", message="The run broke off while this test was running.")
            )


def _unfinished(session: _Session) -> str:
    if not session.started and session.exit_code is None:
        return ""  # loaded only: pytest stopped before its session, and its output says why
    if session.exit_code is None:
        where = f" while {next(iter(session.running))} was running" if session.running else ""
        return f"the test process ended{where} without finishing its session"
    reported = {result.id for result in session.results}
    missing = session.collected - reported
    if session.uncollected and not session.collected & reported:
        return ""  # collection failed, so nothing ran: the errors say it, and nothing is unknown
    if missing:
        why = f" ({session.stops[0]})" if session.stops else ""
        return f"{len(missing)} of {len(session.collected)} collected tests did not run{why}"
    return ""


def _frames(rows: Any) -> Iterable[Frame]:
    for row in _list(rows):
        if isinstance(row, list) and len(row) == 4 and isinstance(row[1], int):
            yield Frame(_text(row[0]), row[1], _text(row[2]), _text(row[3]))


def _executed(rows: Any) -> Iterable[Executed]:
    for row in _list(rows):
        if isinstance(row, list) and len(row) == 5 and all(isinstance(n, int) for n in row[2:4]):
            lines = tuple(line for line in _list(row[4]) if isinstance(line, int))
            yield Executed(_text(row[0]), _text(row[1]), row[2], row[3], lines)


def _text(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e9 else 0.0
