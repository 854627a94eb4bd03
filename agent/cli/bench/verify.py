"""`greenroom bench verify`: judges the patches that any tool made on a suite."""

import argparse
from dataclasses import replace
from pathlib import Path

from agent.bench.given import read_given
from agent.cli.bench.run import SANDBOX_FLAGS, add_selection, conduct, judging_wish
from agent.cli.command import add_settings
from agent.cli.console import Console

DESCRIPTION = """\
Judge patches on a suite in clean rooms, whoever made them, with the same verdicts as a run of
Greenroom's own: forgeries are named. No model is run.

PREDICTIONS is a file of SWE-bench's form (.jsonl or .json: instance_id, model_patch) or a folder of
diffs, each named TASK.diff. A task without a patch counts as not solved. Several predictions of one
task are attempts at it; each task needs as many.

examples:
  greenroom bench verify swebench:verified.jsonl preds.json
  greenroom bench verify quixbugs:QuixBugs patches/ --filter gcd\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", metavar="SUITE", help="such as starter, or KIND:PATH")
    parser.add_argument("predictions", metavar="PREDICTIONS", type=Path, help="a file or a folder")
    parser.add_argument(
        "--only-given", action="store_true", help="only tasks that PREDICTIONS has a patch for"
    )
    add_selection(parser)
    add_settings(parser, SANDBOX_FLAGS)


def main(options: argparse.Namespace, console: Console) -> int:
    given = read_given(options.predictions)
    if options.only_given:
        given = replace(given, tasks=given.named)
    return conduct(judging_wish(options, options.suite, given), console)
