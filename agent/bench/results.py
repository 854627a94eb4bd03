"""From the log of an attempt to its result: what counts is read from the trajectory alone."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, cast

from agent import trajectory
from agent.bench.job import Job
from agent.bench.record import Result, Status
from agent.runs import Run
from sandbox.errors import UsageError

Event = Mapping[str, Any]


def place(task: str, attempt: int) -> str:
    """The folder of an attempt, relative to the run's."""
    return f"attempts/{task}/{attempt}"


def result_of(job: Job, run: Run, events: Sequence[dict[str, Any]]) -> Result:
    """The result of an attempt that has ended. Blocks."""
    counted = trajectory.live(events)
    started = counted[0]
    ended = next(event for event in reversed(counted) if event["type"] == "run.ended")
    verdicts = [event for event in counted if event["type"] == "verdict"]
    verdict = verdicts[-1] if verdicts else None
    tree, base = ended["tree"], started["task"]["base"]["tree"]
    status, reason = _status(ended, verdict, changed=tree != base)
    told = verdict["verdict"] if verdict else {}
    diff = run.store().diff(base, tree) if tree != base else b""
    return Result(
        task=job.task,
        attempt=job.attempt,
        status=status,
        grade=told.get("grade") if status == "solved" else None,
        reason=reason,
        limit=ended.get("limit", ""),
        turns=ended["turns"],
        usage=ended["usage"],
        cost=ended["cost"],
        seconds=ended["seconds"],
        verify_seconds=round(sum(each["verdict"]["seconds"] for each in verdicts), 3),
        retries=broken(events),
        malformed=ended["malformed"],
        tests_failing=tuple((told.get("tests") or {}).get("failing", ())),
        flaky=tuple(told.get("flaky", ())),
        patch_bytes=len(diff),
        rewards=told.get("rewards", {}),
        folder=place(job.task, job.attempt),
        started=events[0]["time"],
        ended=ended["time"],
    )


def _status(ended: Event, verdict: Event | None, *, changed: bool) -> tuple[Status, str]:
    """What became of the attempt, and why. A verdict counts for the state that it was given on."""
    judged = verdict is not None and verdict["tree"] == ended["tree"]
    if ended["status"] == "solved" or (judged and not changed):
        found = verdict["verdict"] if verdict else {"status": "failed", "reasons": []}
        return cast(Status, found["status"]), " ".join(found["reasons"][:3]) or ended["reason"]
    if not changed:
        return "no patch", ended["reason"]
    refused = verdict["verdict"]["status"] if verdict and judged else "failed"
    return cast(Status, refused), ended["reason"]


def broken(events: Sequence[Event]) -> int:
    """How often an attempt was gone on with after something had broken it off."""
    kinds = [event["type"] for event in events]
    return sum(pair == ("broken", "resumed") for pair in pairwise(kinds))


def unfinished(job: Job, run: Run, status: Status, reason: str, *, begun: str = "") -> Result:
    """The result of an attempt that came to no end of its own, with what it spent. Blocks."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    kept = place(job.task, job.attempt) if run.folder.exists() else ""
    bare = Result(
        *(job.task, job.attempt, status),
        reason=reason,
        folder=kept,
        started=begun or now,
        ended=now,
    )
    try:
        history = trajectory.history(run.events(), run.trajectory)
    except UsageError:  # nothing of it was written, or it cannot be read
        return bare
    price = history.started["model"].get("price")
    spent = history.usage
    cost = None
    if price:
        tokens = spent.get("input_tokens", 0), spent.get("output_tokens", 0)
        cost = (tokens[0] * price["input"] + tokens[1] * price["output"]) / 1e6
    return Result(
        task=job.task,
        attempt=job.attempt,
        status=status,
        reason=reason,
        turns=history.turn,
        usage=spent,
        cost=cost,
        seconds=round(history.seconds, 3),
        retries=broken(run.events()),
        malformed=dict(history.malformed),
        folder=kept,
        started=history.started["time"],
        ended=now,
    )
