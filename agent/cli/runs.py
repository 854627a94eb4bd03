"""`greenroom runs`: the runs on this machine."""

import argparse
from dataclasses import asdict
from pathlib import Path

from agent import runs
from agent.cli.console import Console
from agent.cli.text import duration, one_line, table

DESCRIPTION = "List the runs on this machine, the latest last."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document")


def main(options: argparse.Namespace, console: Console) -> int:
    summaries = [runs.summarise(run) for run in runs.every()]
    if options.json:
        console.document({"runs": [asdict(summary) for summary in summaries]})
        return 0
    if not summaries:
        console.say("no runs yet; `greenroom solve` makes one")
        return 0
    rows = [("RUN", "STATUS", "TURNS", "TIME", "MODEL", "CHECKOUT", "TASK")]
    rows += [
        (
            summary.id,
            summary.status,
            str(summary.turns),
            duration(summary.seconds),
            one_line(summary.model, 28),
            one_line(Path(summary.checkout).name or "-", 20),
            one_line(summary.task, 50),
        )
        for summary in summaries
    ]
    for row in table(rows).splitlines():
        console.say(row)
    return 0
