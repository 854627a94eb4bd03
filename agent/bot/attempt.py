"""One attempt of the bot: a session on a ground, and what it found, as a proposal."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent import settings
from agent.bot.explain import can_explain, explained
from agent.bot.ground import Ground
from agent.bot.proposal import Proposal, Tests
from agent.bot.trigger import Trigger
from agent.keys import Value
from agent.models.base import ModelError
from agent.outcome import Outcome
from agent.request import Request, settings_of
from agent.session import Session, start
from agent.trajectory import EPHEMERAL, Event
from sandbox.errors import GreenroomError
from tasks.task import TestReport, Verdict
from tasks.workspace import named

Say = Callable[[str], None]


@dataclass
class Seen:
    """What an attempt has shown so far, whatever becomes of it: its `events`, the `diff` of its
    last state, texts of the settings that are `secrets`, the `error` that ended it."""

    events: list[Event] = field(default_factory=list)
    diff: str = ""
    secrets: tuple[str, ...] = ()
    run: str = ""
    model: str = ""
    error: GreenroomError | None = None

    def __call__(self, event: Event) -> None:
        if event["type"] not in EPHEMERAL:
            self.events.append(event)

    def finished(self) -> bool:
        """Whether the model said at its end what it did."""
        calls = (event for event in self.events if event["type"] == "call")
        return any(event["name"].rpartition(".")[2] == "finish" for event in calls)

    def summary(self) -> str:
        """The model's own words at its end: of its last call of `finish`, else of its last turn."""
        said = ""
        for event in self.events:
            if event["type"] == "turn":
                said = str(event["message"]["text"]).strip() or said
            elif event["type"] == "call" and event["name"].rpartition(".")[2] == "finish":
                said = _told(event["arguments"]) or said
        return said


def _told(arguments: str) -> str:
    try:
        data: Any = json.loads(arguments)
    except ValueError:
        return ""
    words = data.get("summary") if isinstance(data, dict) else None
    return words.strip() if isinstance(words, str) else ""


async def attempt(
    folder: Path,
    ground: Ground,
    trigger: Trigger,
    words: str,
    flags: Mapping[str, Value],
    say: Say,
    seen: Seen,
    *,
    must_fail: tuple[str, ...] | None = None,
    trusted: bool = True,
) -> Proposal:
    """Works on the commit of `ground` in the repository in `folder`. `must_fail` is as in
    `agent.request.Request`; `trusted` is whether the settings file is as good as the user's own.

    Raises what `agent.session.start` and `Session.solve` raise.
    """
    request = Request(
        folder,
        words=words,
        flags=flags,
        pin=ground.pin(trusted=trusted),
        as_a_whole=True,
        must_fail=must_fail,
    )
    seen.secrets = settings.secrets(settings_of(request, lambda text: None))
    talk = Talk(say)

    def told(text: str, *, always: bool = False) -> None:
        say(text)

    async with start(request, (seen, talk), told) as session:
        seen.run = session.run.id
        info = session.model.info
        seen.model = info.name if info.real else "none (the turns came from a script)"
        outcome = await session.solve()
        seen.diff = session.diff()
        found = _proposal(session, outcome, ground, trigger, seen)
        if found.status == "solved" and not seen.finished() and can_explain(session.model):
            found = await _explained(found, session, words, say)
        return found


async def _explained(found: Proposal, session: Session, words: str, say: Say) -> Proposal:
    """With the model's words on its patch, which it had no turn left to say."""
    try:
        summary, usage = await explained(session.model, words, found.diff)
    except ModelError as error:  # the patch is proved all the same
        say(f"the model did not say what it changed: {error.message}")
        return found
    cost, price = found.cost, session.model.info.price
    if cost is not None and price is not None:
        cost += (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1e6
    return replace(
        found,
        summary=summary or found.summary,
        tokens=found.tokens + usage.total_tokens,
        cost=cost,
    )


class Talk:
    """Says how an attempt goes, without a word of the model or of the repository but the names of
    tests: a job's log may be the world's."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def __call__(self, event: Event) -> None:
        match event["type"]:
            case "turn.started":
                self._say(f"turn {event['turn']}")
            case "progress":
                self._say(str(event["text"]))
            case "tests":
                results = event["report"]["results"]
                failing = sum(each["status"] in {"failed", "error"} for each in results)
                passed = sum(each["status"] in {"passed", "xpassed"} for each in results)
                self._say(f"tests: {passed} passing, {failing} failing")
            case "verdict":
                self._say(f"clean room: {event['verdict']['status']}")


def _proposal(
    session: Session, outcome: Outcome, ground: Ground, trigger: Trigger, seen: Seen
) -> Proposal:
    verdict = outcome.verdict
    solved = outcome.status == "solved"
    before = (verdict.baseline if verdict else None) or outcome.baseline
    after = (verdict.report if verdict else None) or outcome.report
    usage = outcome.usage
    found = Proposal(
        key=trigger.key,
        status=outcome.status,
        reason=outcome.reason,
        branch=ground.branch,
        commit=ground.commit,
        verdict=verdict.status if verdict else "",
        before=_tests(before),
        after=_tests(after),
        notes=(*session.task.notes, *(_notes(verdict) if verdict and solved else ())),
        summary=seen.summary(),
        model=seen.model,
        run=seen.run,
        version=version("greenroom"),
        turns=outcome.turns,
        seconds=outcome.seconds,
        tokens=usage.get("input_tokens", 0) + usage.get("output_tokens", 0),
        cost=outcome.cost,
    )
    if solved and verdict:
        return replace(
            found,
            patch=outcome.patch,
            diff=seen.diff,
            grade=verdict.grade or "",
            repaired=tuple(id for id in verdict.newly_passing if id in before.failing),
            added_tests=verdict.evidence if verdict.grade == "reproduced" else (),
        )
    if outcome.status == "nothing to do" and trigger.build:
        return replace(found, status="not reproduced", reason=_unlike(outcome, ground))
    return found


def _tests(report: TestReport) -> Tests:
    return Tests(report.failing, len(report.passed))


def _notes(verdict: Verdict) -> list[str]:
    """What a reader of the patch has to know beside its grade."""
    notes = list(verdict.reasons[1:])
    if verdict.left_out:
        notes.append(
            f"The model also changed {named(verdict.left_out)}: protected, so not in this patch."
        )
    return notes


def _unlike(outcome: Outcome, ground: Ground) -> str:
    """What was run where a red build could not be seen red."""
    report = outcome.baseline
    said = outcome.reason[:1].upper() + outcome.reason[1:]
    return (
        f"{said}. `{report.command}` was run in a sandbox on {ground.commit[:12]}: "
        f"{len(report.passed)} passing, {len(report.failing)} failing."
    )
