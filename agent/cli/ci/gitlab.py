"""`greenroom ci gitlab`: the bot, in a job of GitLab CI."""

import argparse
import os
from pathlib import Path

from agent.bot import gitlab
from agent.bot.gitlab_event import reader
from agent.bot.steps import Job
from agent.cli.ci import running
from agent.cli.command import flags
from agent.cli.console import Console

DESCRIPTION = """\
Answer an event of GitLab: an issue that was labelled, a comment `/greenroom fix`, a remark on the
bot's own merge request, a pipeline that failed. It runs in a job of GitLab CI, which sets most of
what it needs to know; docs/ci-gitlab.md shows the jobs and says where the event comes from.

  accept     may they ask, is it new; answers within seconds        (a token that comments)
  propose    an attempt in sandboxes, proved in a clean room        (a token that reads)
  publish    the patch as a merge request, or why there is none     (a token that writes)\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    running.configure(parser)
    parser.add_argument(
        "--event",
        type=Path,
        metavar="FILE",
        help="the webhook's event, as JSON (default: the job's own, TRIGGER_PAYLOAD)",
    )


def main(options: argparse.Namespace, console: Console) -> int:
    variables = os.environ
    path = str(options.event or variables.get("TRIGGER_PAYLOAD", ""))
    event = running.event(path) if path else None

    def say(text: str) -> None:
        console.note(text, "dim")

    forge = gitlab.connect(variables, running.writer(options.step, variables), say)
    job = Job(
        forge=forge,
        read=reader(forge, event, variables, still=options.step != "publish"),
        folder=options.output,
        run_url=variables.get("CI_PIPELINE_URL", ""),
        say=say,
        flags=flags(options),
    )
    return running.conduct(job, options.step, console)
