"""How solve and resume run a session: the live view, the end, the delivery, the exit code."""

import argparse
from contextlib import AbstractAsyncContextManager

from agent.cli import delivery
from agent.cli.console import Console
from agent.cli.delivery import Ways
from agent.cli.process import run
from agent.cli.text import count, duration
from agent.cli.view import LiveView
from agent.models.base import ModelError
from agent.models.malformed import KINDS
from agent.outcome import Outcome
from agent.session import Session, resume
from agent.trajectory import Listener
from sandbox.errors import GreenroomError, InfrastructureError, UsageError

SOLVED, NOT_SOLVED = 0, 1
Opening = AbstractAsyncContextManager[Session]


def configure(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json", action="store_true", help="one JSON document on standard output at the end"
    )
    group.add_argument(
        "--events", action="store_true", help="a line of JSON per event on standard output"
    )


class View:
    """What a session's events are shown with, as the flags say."""

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        if options.json and options.events:
            raise UsageError("--json and --events both want standard output", "Give one of them.")
        self.console = console
        self.events: bool = options.events
        if self.events:
            console.quiet = True
            self.listeners: list[Listener] = [console.line]
        else:
            self.listeners = [LiveView(console)]

    def say(self, text: str, *, always: bool = False) -> None:
        """Prints a note on the way to the first turn."""
        if always:
            self.console.warn(text)
        else:
            self.console.note(text, "dim")


def conduct(opening: Opening, view: View, ways: Ways) -> int:
    """Runs a session to its end, delivers the patch, and goes on when the user says how.

    Raises GreenroomError for what the user has to mend, Interrupted on a signal.
    """
    console = view.console
    while True:
        session, outcome = run(_solve(opening, console))
        if not console.json and not view.events:
            _summary(session, outcome, console)
        if outcome.status != "solved":
            break
        with session.run.lock():  # until its patch is where it shall be, nobody may remove it
            guidance = "" if view.events and ways.way == "ask" else _deliver(session, ways, console)
        if not guidance:
            break
        opening = resume(session.run, {}, view.listeners, view.say, guidance=guidance)
    if console.json:
        console.document(session.document(outcome))
    return NOT_SOLVED if outcome.status == "not solved" else SOLVED


def _deliver(session: Session, ways: Ways, console: Console) -> str:
    if console.json and ways.way == "ask":
        return ""
    return delivery.deliver(session, ways, console)


async def _solve(opening: Opening, console: Console) -> tuple[Session, Outcome]:
    session: Session | None = None
    try:
        async with opening as session:
            console.run = session.run.id
            return session, await session.solve()
    except GreenroomError as error:
        lost = bool(error.cause) or isinstance(error, ModelError | InfrastructureError)
        if session and session.begun and lost:
            error.hint = (
                f"{error.hint}\n  Go on later with: greenroom resume {session.run.id}".strip()
            )
        raise


def _summary(session: Session, outcome: Outcome, console: Console) -> None:
    spent = [count(outcome.turns, "turn"), duration(outcome.seconds)]
    tokens = outcome.usage["input_tokens"] + outcome.usage["output_tokens"]
    if tokens:
        about = "about " if outcome.usage["estimated"] else ""
        spent.insert(1, f"{about}{tokens:,} tokens")
    if outcome.cost is not None and outcome.cost > 0:
        spent.append(f"${outcome.cost:.4f}")
    console.note("")
    grade = outcome.grade
    style = "red" if outcome.status == "not solved" else "green"
    # What a clean room found was told when it did, unless nothing is told on the way.
    reason = "" if grade and not console.quiet else f": {outcome.reason}"
    console.say(f"{outcome.status}{f' ({grade})' if grade else ''}{reason}", style, "bold")
    if not session.model.info.real:
        console.say("no model was run: the turns came from a script", "yellow")
    console.note(f"{', '.join(spent)}; run {session.run.id}", "dim")
    if outcome.malformed:
        kinds = [f"{number} x {KINDS[kind]}" for kind, number in outcome.malformed.items()]
        console.note(f"malformed turns: {', '.join(kinds)}", "dim")
    if outcome.status == "nothing to do":
        console.note('To have something changed, say it in words: greenroom solve "..."', "dim")
    if outcome.status == "not solved":
        for line in _left(outcome):
            console.note(line)
        console.note(f"see it: greenroom show {session.run.id}", "dim")
        if session.run.proved():
            console.note(f"what was proved before: greenroom show {session.run.id} --proved")
        if session.task.verifier is not None:
            return  # its container is gone
        higher = f" --{outcome.limit}-limit N (more than now)" if outcome.limit else ""
        console.note(f'go on: greenroom resume {session.run.id}{higher} -m "guidance"', "dim")


def _left(outcome: Outcome) -> list[str]:
    failing = outcome.report.failing
    lines = [f"  still failing: {id}" for id in failing[:5]]
    if len(failing) > 5:
        lines.append(f"  and {len(failing) - 5} more")
    return lines
