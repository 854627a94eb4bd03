"""`greenroom bench report`: writes the report of a run anew."""

import argparse
from pathlib import Path

from agent.bench.report import report
from agent.bench.report.document import summary_data
from agent.bench.report.overview import result
from agent.cli.console import Console
from agent.cli.text import count
from sandbox.errors import UsageError

DESCRIPTION = """\
Write the report of a run of `greenroom bench` into its folder, also while it runs: report.html,
report.json, report.xml (JUnit), predictions.jsonl and swebench.json (docs/reports.md).\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the run's folder")
    parser.add_argument("--json", action="store_true", help="print the summary as a JSON document")


def main(options: argparse.Namespace, console: Console) -> int:
    folder = check_folder(options.folder)
    console.note(f"reading {folder} ...", "dim")
    run, summary = report(folder)
    for damage in run.damages:
        console.warn(f"damaged: {damage}")
    if options.json:
        console.document({"report": str(folder / "report.html"), **summary_data(summary)})
        return 0
    console.say(f"{run.model} on {run.suite}: {result(summary)}", "bold")
    if not run.finished:
        done = f"{summary.attempts:,} of {count(summary.expected, 'attempt')}"
        console.say(f"not finished: {done}", "yellow")
    console.say(f"{folder / 'report.html'}")
    return 0


def check_folder(folder: Path) -> Path:
    """The folder, absolute. Raises UsageError where it is none of a run."""
    if not (folder / "manifest.json").exists() and not (folder / "results.jsonl").exists():
        raise UsageError(
            f"{folder} is no folder of a benchmark run",
            "Give the folder that `greenroom bench` wrote, as greenroom-runs/NAME.",
        )
    return folder.resolve()
