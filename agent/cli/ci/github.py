"""`greenroom ci github`: the bot, in a job of GitHub Actions."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from agent.bot import events_github, github
from agent.bot.steps import Job
from agent.cli.ci import running
from agent.cli.command import flags
from agent.cli.console import Console

DESCRIPTION = """\
Answer an event of GitHub: an issue that was labelled, a comment `/greenroom fix`, a review of the
bot's own pull request, a build that failed. It runs in a job of GitHub Actions, which sets all that
it needs to know; docs/ci.md shows the workflow, `greenroom ci init` writes it.

  accept     may they ask, is it new; answers within seconds        (a token that comments)
  propose    an attempt in sandboxes, proved in a clean room        (a token that reads)
  publish    the patch as a pull request, or why there is none      (a token that writes)\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    running.configure(parser)
    parser.add_argument(
        "--event",
        type=Path,
        metavar="FILE",
        help="the event, as JSON (default: the job's own, GITHUB_EVENT_PATH)",
    )
    parser.add_argument(
        "--event-name", metavar="NAME", help="its kind (default: the job's own, GITHUB_EVENT_NAME)"
    )


def main(options: argparse.Namespace, console: Console) -> int:
    variables = os.environ
    name = options.event_name or running.needed(variables, "GITHUB_EVENT_NAME", "the event's kind")
    path = options.event or running.needed(variables, "GITHUB_EVENT_PATH", "the event's file")
    event = running.event(str(path))
    running.silence_commands()
    run, now = variables.get("GITHUB_RUN_ID", ""), datetime.now(UTC).isoformat()

    def say(text: str) -> None:
        console.note(text, "dim")

    forge = github.connect(variables, running.writer(options.step, variables), say=say)
    job = Job(
        forge=forge,
        read=lambda config: events_github.read(name, event, config, run=run, at=now),
        folder=options.output,
        run_url=_run_url(),
        say=say,
        flags=flags(options),
    )
    return running.conduct(job, options.step, console)


def _run_url() -> str:
    server, repository, run = (
        os.environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""
