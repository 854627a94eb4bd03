"""What the doors of GitHub and GitLab share: their flags, the event, the steps, the outcome."""

import argparse
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.bot.steps import STEPS, Job
from agent.cli.command import add_settings
from agent.cli.console import Console
from agent.cli.process import run
from agent.keys import LIMITS, MODEL, REASONING, SAMPLING, SANDBOX
from sandbox.errors import SetupError, UsageError

DEFAULT_FOLDER = Path("greenroom-proposal")
#: The account that the writing token's comments are of; accept tells the other jobs.
_BOT = "GREENROOM_BOT"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "step",
        nargs="?",
        choices=STEPS,
        help="one step of the three, each in a job of its own; without it all, one after another",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=DEFAULT_FOLDER,
        metavar="FOLDER",
        help=f"where the proposal and its report go and stand (default: {DEFAULT_FOLDER})",
    )
    add_settings(parser, (*MODEL, "toolset", *SAMPLING, *REASONING, *LIMITS, *SANDBOX))


def writer(step: str | None, environment: Mapping[str, str]) -> str:
    """The account whose comments are the bot's, for the one job whose token is another's; ""
    where the token's own is it."""
    return environment.get(_BOT, "") if step == "propose" else ""


def needed(environment: Mapping[str, str], name: str, what: str) -> str:
    """A variable's value. Raises SetupError that says what it is for."""
    if value := environment.get(name, ""):
        return value
    raise SetupError(
        f"{name} is not set: {what}",
        "It is set in a job of the forge; docs/ci.md shows the job. To set one up: "
        "greenroom ci init; to try the bot on this machine: greenroom ci local.",
    )


def event(path: str) -> Mapping[str, Any]:
    """The event in a file. Raises UsageError for one that cannot be read or is no JSON object."""
    try:
        content = Path(path).read_bytes()
    except OSError as problem:
        raise UsageError(f"cannot read the event {path}: {problem.strerror}") from None
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"the event {path} is no JSON: {problem}") from None
    if not isinstance(data, dict):
        raise UsageError(f"the event {path} is no JSON object")
    return data


def conduct(job: Job, step: str | None, console: Console) -> int:
    """Runs a step, or all. Returns 0 when it did its work, whatever came of the attempt, for the
    answer stands on the forge; raises GreenroomError for what somebody has to mend."""
    if step in (None, "accept"):
        decision = job.accept()
        console.say(f"{'accepted' if decision.go else 'not accepted'}: {decision.reason}")
        output("go", "true" if decision.go else "false")
        if step:
            output(_BOT, job.forge.me())
        if not decision.go or step:
            return 0
    if step in (None, "propose"):
        proposal = run(job.propose())
        if proposal is None:
            return 0
        console.say(f"{proposal.status}: {proposal.reason}")
    if step in (None, "publish"):
        published = job.publish()
        console.say(published.told)
    return 0


def silence_commands() -> None:
    """Keeps GitHub's runner from obeying lines of our output, where words of strangers may be."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print(f"::stop-commands::{secrets.token_hex(16)}", flush=True)


def output(name: str, value: str) -> None:
    """Sets an output of the step, where the forge has a file for them: GitHub's own, or the one of
    variables that a job of GitLab hands on."""
    for variable in ("GITHUB_OUTPUT", "GREENROOM_OUTPUT"):
        if path := os.environ.get(variable):
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(f"{name}={value}\n")
