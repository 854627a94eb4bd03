"""`greenroom bench rescore`: judges the patches of an earlier run anew."""

import argparse
from pathlib import Path

from agent.bench.given import of_run
from agent.cli.bench.run import SANDBOX_FLAGS, add_selection, conduct, judging_wish
from agent.cli.command import add_settings
from agent.cli.console import Console

DESCRIPTION = """\
Judge the patches of an earlier run again, each attempt's own, as this version and this machine do
it; the old run stays as it is. No model is run.

example:
  greenroom bench rescore greenroom-runs/starter-20260101-120000\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="of the earlier run")
    parser.add_argument("--suite", metavar="SUITE", help="where the suite is now, if it was moved")
    add_selection(parser)
    add_settings(parser, SANDBOX_FLAGS)


def main(options: argparse.Namespace, console: Console) -> int:
    suite, given = of_run(options.folder)
    return conduct(judging_wish(options, options.suite or suite, given), console)
