"""`greenroom show`: one run, readable."""

import argparse
from collections.abc import Sequence

from agent import runs, trajectory
from agent.cli.command import add_run
from agent.cli.console import Console
from agent.cli.delivery import show_diff
from agent.cli.text import count, duration
from agent.cli.view import LiveView
from agent.runs import Run
from sandbox.errors import UsageError

DESCRIPTION = "Print a run readably: its task, its turns, its tests, its verdict and its diff."


def configure(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--diff", action="store_true", help="only its change, fit for `git apply`")
    group.add_argument(
        "--proved",
        action="store_true",
        help="only the change that was proved last, where the run went on after it",
    )
    group.add_argument("--json", action="store_true", help="its events as one JSON document")


def main(options: argparse.Namespace, console: Console) -> int:
    run = runs.find(options.run)
    events = trajectory.live(run.events())
    history = trajectory.history(events, run.trajectory)
    proved = run.proved()
    if options.proved and proved is None:
        raise UsageError(f"no change of run {run.id} was proved", "`--diff` prints its last one.")
    tree = proved if options.proved else history.tree
    diff = _diff(run, history, tree)
    if options.diff or options.proved:
        console.bytes(diff)
        return 0
    if options.json:
        console.document({"run": run.id, "events": events})
        return 0
    _print(run, history, events, diff.decode("utf-8", "replace"), console)
    return 0


def _diff(run: Run, history: trajectory.History, tree: str | None) -> bytes:
    if tree is None:
        return b""
    return run.store().diff(history.started["task"]["base"]["tree"], tree)


def _print(
    run: Run,
    history: trajectory.History,
    events: Sequence[trajectory.Event],
    diff: str,
    console: Console,
) -> None:
    started = history.started
    summary = runs.summarise(run)
    console.say(f"run {run.id}: {summary.status}", "bold")
    console.say(f"task: {started['task']['instruction'] or 'make the failing tests pass'}")
    if started.get("checkout"):
        console.say(f"checkout: {started['checkout']['folder']}")
    model = started["model"]
    where = f" at {model['address']}" if model["address"] else ""
    script = "" if model["real"] else " (a script: no model was run)"
    console.say(f"model: {model['name']}{where}{script}; greenroom {started['greenroom']}")
    view = LiveView(console)
    for event in events:
        view(event)
    console.say()
    if history.ended:
        ended = history.ended
        console.say(f"{ended['status']}: {ended['reason']}", "bold")
        console.say(f"{count(ended['turns'], 'turn')}, {duration(ended['seconds'])}", "dim")
    else:
        if events[-1]["type"] == "broken":
            console.say(f"it broke off: {events[-1]['error']}", "red")
        console.say(f"not ended; go on with: greenroom resume {run.id}", "yellow")
    if diff:
        console.say("\nits change:", "bold")
        show_diff(console, diff)
    if run.proved() not in (None, history.tree):
        console.say(f"\nAn earlier change was proved: greenroom show {run.id} --proved")
