"""`greenroom resume`: go on with a run from its last complete turn."""

import argparse
from pathlib import Path

from agent import runs, trajectory
from agent.cli import delivery, working
from agent.cli.command import add_run, add_settings, flags
from agent.cli.console import Console
from agent.cli.delivery import Ways
from agent.keys import LIMITS, MODEL, REASONING, SAMPLING
from agent.models.registry import is_model_name
from agent.runs import Run
from agent.session import resume
from sandbox.errors import UsageError
from tasks.branch import check_new_branch

DESCRIPTION = """\
Go on with a run from its last complete turn: after Ctrl-C, a crash, a killed process, a limit that
was reached, or a verdict that you want to talk about. Limits are those of the whole run; raise one
with its flag.\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "-m", "--message", metavar="TEXT", default="", help="guidance: the model's next turn"
    )
    parser.add_argument("--model", metavar="NAME", dest="setting_model", help="another model")
    delivery.configure(parser)
    working.configure(parser)
    add_settings(parser, (*MODEL[1:], *SAMPLING, *REASONING, *LIMITS))


def main(options: argparse.Namespace, console: Console) -> int:
    if is_model_name(options.message):
        raise UsageError(
            f"-m gives guidance here, and {options.message!r} is the name of a model",
            f"A model is given with --model {options.message}.",
        )
    view = working.View(options, console)
    found = runs.find(options.run)
    ways = delivery.chosen(options)
    if ways.writes_checkout:
        _check_checkout(found, ways)
    opening = resume(
        found, flags(options), view.listeners, view.say, guidance=options.message.strip()
    )
    return working.conduct(opening, view, ways)


def _check_checkout(run: Run, ways: Ways) -> None:
    """Raises UsageError when the run's patch could not go where it is wanted: before the work."""
    started = trajectory.history(run.events(), run.trajectory).started
    where = started.get("checkout")
    if not where:
        raise UsageError(
            f"{ways.flag} needs a checkout, and the task {started['task']['id']} has none",
            "Use --patch FILE to keep the patch.",
        )
    if ways.way == "branch":
        check_new_branch(Path(where["folder"]), ways.target)
