"""The event log of one attempt: append-only JSON lines, the one truth that everything reads.

Each line is `{"v": 1, "seq": n, "time": ISO 8601, "type": ..., ...}` with the fields that `EVENTS`
names. The live view, resume, `show` and the JSON output are readings of it. A line is flushed when
it is written and synced to disk at the end of each turn, so a killed process loses at most the turn
it was in; half a last line (killed in the middle of a write) is cut off when the log is reopened.

Nothing is ever rewritten: `resumed` with `after` says that the lines between are void.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sandbox.errors import UsageError

VERSION = 1

#: The fields of each type of event. Those in the second set may be absent.
EVENTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset(required.split()), frozenset(optional.split()))
    for name, required, optional in (
        # The attempt: what is solved, by whom, within which bounds.
        (
            "run.started",
            "run greenroom task model sampling limits settings",
            "checkout ready engine toolset",
        ),
        ("resumed", "after turn", "guidance"),
        # What broke an attempt off: the error, and what took the sandbox away where that did.
        ("broken", "error cause", ""),
        ("run.ended", "status reason", "turns usage seconds cost tree grade malformed limit"),
        # Every sandbox opened, under which policy, on which image, and for what.
        ("sandbox", "purpose image policy", "container rebuild lacking"),
        # What a sandbox asked for on its way out, when that has ended.
        (
            "network",
            "when method host port address via outcome why sent received seconds",
            "",
        ),
        ("note", "text", ""),
        # The conversation, in order. `epoch` replaces all that stood before it; `checkpoint` is
        # what the model noted for one, and stands in no conversation of its own.
        ("epoch", "reason messages", "by_products before after shrunk checkpoint"),
        ("checkpoint", "turn message usage problem", ""),
        ("message", "message", ""),
        # One turn of the model, after the cuts of its reasoning and the tries that were malformed.
        ("turn.started", "turn", ""),
        ("cut", "turn reason detail tokens kept saved way", "thought steering"),
        ("malformed", "turn kind problem message usage attempt", ""),
        (
            "turn",
            "turn message usage finish",
            "problem kind seconds first_token_seconds candidate",
        ),
        ("call", "turn id name arguments", ""),
        ("result", "turn id name ok text seconds", ""),
        # One candidate screened; `failing` is the number of tests that fail with it.
        ("candidate", "turn number failing", "calls"),
        # `tree` is the workspace's state as a tree in the run's own repository.
        ("turn.ended", "turn tree usage seconds cost", ""),
        ("tests", "purpose report", "newly_passing newly_failing"),
        ("verdict", "verdict tree", ""),
        ("applied", "how where", ""),
    )
}
#: Shown live and never written: each is contained in a later event.
EPHEMERAL = frozenset({"delta", "output", "retry", "progress", "testing"})
#: After these the line is on the disk before anything else happens.
_DURABLE = frozenset({"run.started", "resumed", "verdict", "broken", "run.ended", "applied"})
#: After these it is on its way there, so that no turn waits for a disk: what is not there yet is
#: lost when the machine fails, never when a process does.
_SOON_DURABLE = frozenset({"turn.ended"})

Event = Mapping[str, Any]
Listener = Callable[[Event], None]


class Recorder:
    """Writes events to the log and hands each one to its listeners."""

    def __init__(
        self, path: Path, *, secrets: Iterable[str] = (), listeners: Iterable[Listener] = ()
    ) -> None:
        """Opens `path` for appending, mode 0600; half a last line is cut off.

        `secrets` are texts (keys) that must never be written: each is replaced wherever it occurs.
        """
        self._secrets = tuple(secret for secret in secrets if len(secret) >= 6)
        self._listeners = list(listeners)
        self._sequence = _mend(path)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._stream: IO[str] = os.fdopen(handle, "a", encoding="utf-8", errors="surrogateescape")
        self._disk = ThreadPoolExecutor(1, "trajectory")
        self._syncing: Future[None] | None = None

    @property
    def sequence(self) -> int:
        """The number of the last line written."""
        return self._sequence

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def emit(self, type: str, **fields: Any) -> None:
        """Appends one event. Raises KeyError or ValueError for what the schema does not know."""
        event: dict[str, Any] = {"type": type, **fields}
        if type not in EPHEMERAL:
            required, optional = EVENTS[type]
            names = frozenset(fields)
            if not required <= names <= required | optional:
                odd = sorted(required - names) + sorted(names - required - optional)
                raise ValueError(f"event {type!r}: fields missing or unknown: {', '.join(odd)}")
            event = self._write(type, fields)
        for listener in self._listeners:
            listener(event)

    def _write(self, type: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        self._sequence += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"v": VERSION, "seq": self._sequence, "time": now, "type": type, **fields}
        line = json.dumps(event, ensure_ascii=True, separators=(",", ":"))
        for secret in self._secrets:
            line = line.replace(json.dumps(secret)[1:-1], "[redacted]")
        self._stream.write(line + "\n")
        self._stream.flush()
        if type in _DURABLE:
            os.fsync(self._stream.fileno())
        elif type in _SOON_DURABLE and (self._syncing is None or self._syncing.done()):
            self._syncing = self._disk.submit(os.fsync, self._stream.fileno())
        clean: dict[str, Any] = json.loads(line)
        return clean

    def close(self) -> None:
        self._disk.shutdown()
        self._stream.close()


def _mend(path: Path) -> int:
    """Cuts half a last line off; returns the number of the last whole line."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) != len(data):
        with path.open("r+b") as stream:
            stream.truncate(len(whole))
    events = read(path)
    return int(events[-1]["seq"]) if events else 0


def read(path: Path) -> list[dict[str, Any]]:
    """All whole events of a log, void ones included.

    Raises UsageError, shown to the user, for a file that is no log or of a newer version.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise UsageError(f"no trajectory at {path}", "`greenroom runs` lists the runs.") from None
    events = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            event = json.loads(line)
            version = event["v"]
            _check_fields(event)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(
                f"{path}, line {number}: not an event of a trajectory",
                "The log is damaged and the run lost; `greenroom solve` starts a new one.",
            ) from None
        if version != VERSION:
            raise UsageError(
                f"{path}, line {number}: version {version} of the format; this is {VERSION}",
                "Use the version of greenroom that wrote it.",
            )
        events.append(event)
    return events


def _check_fields(event: Any) -> None:
    """Raise ValueError, KeyError or TypeError for what cannot be an event of this version."""
    if event["v"] == VERSION:
        required, _ = EVENTS[event["type"]]
        datetime.fromisoformat(event["time"])
        if not required <= event.keys() or not isinstance(event["seq"], int):
            raise ValueError("fields are missing")


def live(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that count: those that a later `resumed` made void are left out."""
    kept: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "resumed":
            kept = [earlier for earlier in kept if earlier["seq"] <= event["after"]]
        kept.append(event)
    return kept


@dataclass(frozen=True)
class History:
    """What a resumed attempt goes on from: the log up to its last complete turn. `usage` and
    `seconds` are all that was spent, also on turns that were never completed. `malformed` counts
    turns that could not be used, by kind; `answers` are those that the model gave, epochs long past
    included; `verdicts` counts those that patches handed in were given."""

    started: dict[str, Any]
    messages: tuple[dict[str, Any], ...]
    tree: str | None
    turn: int
    answers: int
    usage: dict[str, Any]
    seconds: float
    after: int
    baseline: dict[str, Any] | None
    by_products: tuple[str, ...]
    cuts: tuple[dict[str, Any], ...]
    malformed: Counter[Any]
    ended: dict[str, Any] | None
    verdict: dict[str, Any] | None
    verdicts: int


def history(events: Sequence[dict[str, Any]], path: Path) -> History:
    """The state at the last complete turn. Raises UsageError when the attempt never began."""
    counted = live(events)
    if not counted or counted[0]["type"] != "run.started":
        raise UsageError(f"{path}: the run stopped before it began", "Start it anew with `solve`.")
    turns = [event for event in counted if event["type"] == "turn.ended"]
    prepared = [event for event in counted if event["type"] in {"epoch", "run.started"}]
    last = turns[-1] if turns else prepared[min(1, len(prepared) - 1)]
    messages: list[dict[str, Any]] = []
    for event in counted:
        if event["seq"] > last["seq"]:
            break
        if event["type"] == "epoch":
            messages = list(event["messages"])
        elif event["type"] == "message":
            messages.append(event["message"])
    spent = _spent(events)
    tests = [event for event in counted if event["type"] == "tests"]
    baselines = [event["report"] for event in tests if event["purpose"] == "baseline"]
    verdicts = [event for event in counted if event["type"] == "verdict"]
    ends = [event for event in counted if event["type"] == "run.ended"]
    return History(
        started=counted[0],
        messages=tuple(messages),
        tree=turns[-1]["tree"] if turns else None,
        turn=turns[-1]["turn"] if turns else 0,
        answers=sum(_is_answer(event) for event in counted if event["seq"] <= last["seq"]),
        usage=spent[0],
        seconds=spent[1],
        after=last["seq"],
        baseline=baselines[0] if baselines else None,
        by_products=tuple(
            path
            for event in counted
            if event["type"] == "epoch"
            for path in event.get("by_products", ())
        ),
        cuts=tuple(event for event in counted if event["type"] == "cut"),
        malformed=Counter(
            event["kind"]
            for event in counted
            if event["type"] in {"malformed", "turn"} and event.get("kind")
        ),
        ended=ends[-1] if ends else None,
        verdict=verdicts[-1] if verdicts else None,
        verdicts=len(verdicts),
    )


def _is_answer(event: Mapping[str, Any]) -> bool:
    """Whether the model gave an answer of its own: a turn, a try at one, notes, or what it thought
    until a cut after which it was asked again."""
    asked = event["type"] == "cut" and event["way"] == "asked"
    return asked or event["type"] in {"turn", "checkpoint", "malformed"}


def proved_tree(events: Sequence[dict[str, Any]]) -> str | None:
    """The tree of the last patch that a clean room proved, also where the run went on after it."""
    ends = [event for event in events if event["type"] == "run.ended"]
    trees = [event.get("tree") for event in ends if event["status"] == "solved"]
    return trees[-1] if trees else None


def _spent(events: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], float]:
    """The usage and the seconds of a whole log, the turns that are void included."""
    usage: dict[str, Any] = {}
    seconds = 0.0
    since = last = datetime.now(UTC)
    for event in events:
        moment = datetime.fromisoformat(event["time"])
        match event["type"]:
            case "run.started":
                since = moment
            case "resumed":  # what was done after the last complete turn was cut off uncounted
                seconds += (last - since).total_seconds()
                since = moment
            case "turn" | "malformed" | "checkpoint":
                usage = event["usage"]
            case "turn.ended":
                usage, seconds, since = event["usage"], event["seconds"], moment
            case "run.ended":
                since = moment
            case "applied":  # as late as the user pleases
                continue
        last = moment
    return usage, seconds + max(0.0, (last - since).total_seconds())
