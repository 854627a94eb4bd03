"""`greenroom verify`: proves any patch in a clean room."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from agent.cli.command import add_checkout, add_settings, flags
from agent.cli.console import Console
from agent.cli.process import run
from agent.cli.text import count, duration
from agent.cli.ticker import Ticker
from agent.codec import verdict_data
from agent.keys import CHECKS, SANDBOX
from agent.proving import Claim, Proof, bounded_diff, prove, read_diff, revisions_of
from agent.request import Request
from sandbox.engine import shared_engine
from sandbox.errors import UsageError
from tasks.task import Grade
from tasks.workspace import named

DESCRIPTION = """\
Prove a patch, whoever made it: in fresh containers the tests are run on the base and on base +
patch, with protected tests restored; nothing that passed may fail. No model is run.

examples:
  git diff | greenroom verify -        your uncommitted changes
  greenroom verify fix.patch           a file
  greenroom verify main...topic        a branch, from where it left main
  greenroom verify HEAD                the last commit\
"""
#: The grades, the best first.
GRADES: tuple[Grade, ...] = get_args(Grade)
_MEANING = {
    "proved": "tests that failed before pass with it",
    "reproduced": "a test that it adds fails without it and passes with it",
    "regression-only": "nothing broke, and nothing was shown to be mended",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("patch", metavar="PATCH|COMMITS|-", help="a diff's file, commits, or stdin")
    add_checkout(parser)
    base = parser.add_mutually_exclusive_group()
    base.add_argument("--base", metavar="COMMIT", help="what a diff applies to (default: HEAD)")
    base.add_argument(
        "--worktree", action="store_true", help="a diff applies to the files as they are now"
    )
    parser.add_argument("--task", metavar="SUITE/NAME", help="judge it on a task of a suite")
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="TEST",
        help="id of a test that must pass (again for more)",
    )
    parser.add_argument(
        "--require",
        metavar="GRADE",
        choices=GRADES,
        help=f"exit with 1 for less than this grade: {', '.join(GRADES)}",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_settings(parser, (*CHECKS, *SANDBOX))


def main(options: argparse.Namespace, console: Console) -> int:
    request = Request(
        options.checkout,
        suite_task=options.task,
        expected=tuple(options.expect),
        flags=flags(options),
    )
    claim = _claim(options)
    proof = run(prove(request, claim, lambda text: console.note(text, "dim"), Ticker(console)))
    if options.json:
        console.document(
            {
                "schema": "greenroom.verdict/1",
                **verdict_data(proof.verdict),
                "engine": shared_engine().as_dict(),
                "files": list(proof.patch.paths),
                "diff": proof.diff,
            }
        )
    else:
        _print(proof, console)
    verdict = proof.verdict
    if verdict.grade is None:
        return 3 if verdict.status == "infrastructure failed" else 1
    if verdict.left_out:
        console.note("Look at those changes yourself; --allow PATTERN has them judged, too.")
        return 1
    if options.require and GRADES.index(verdict.grade) > GRADES.index(options.require):
        console.say(f"less than the required grade, which is {options.require}", "red")
        return 1
    return 0


def _claim(options: argparse.Namespace) -> Claim:
    base = None if options.worktree else options.base or "HEAD"
    if options.patch == "-":
        if sys.stdin.isatty():
            raise UsageError(
                "the patch was to come from standard input, which is a terminal",
                "Pipe it: git diff | greenroom verify -",
            )
        return Claim(bounded_diff(sys.stdin.buffer, "standard input"), base=base)
    path = Path(options.patch)
    if path.is_file():
        return Claim(read_diff(path), base=base)
    if options.task:
        raise UsageError(f"{options.patch} is no file, and a suite's task has no commits")
    if path.is_dir() or path.suffix in {".patch", ".diff"}:
        raise UsageError(f"{options.patch} is no file", "Give a diff's file, commits, or -.")
    if options.base or options.worktree:
        raise UsageError("--base and --worktree are for a diff; commits name their own base")
    first, second = revisions_of(options.checkout, options.patch)
    return Claim(revisions=(first, second), base=first)


def _print(proof: Proof, console: Console) -> None:
    verdict = proof.verdict
    grade = f" ({verdict.grade}: {_MEANING[verdict.grade]})" if verdict.grade else ""
    without = ""
    if verdict.solved and verdict.left_out:
        without = f", but for its changes to {named(verdict.left_out)}, which were not judged"
    style = "green" if verdict.solved and not without else "red"
    console.say(f"{verdict.status}{grade}{without}", style, "bold")
    for reason in verdict.reasons:
        console.say(f"  {reason}")
    for id in verdict.flaky:
        console.say(f"  flaky, so it did not decide: {id}", "yellow")
    for words, ids in (
        ("now passes", verdict.newly_passing),
        ("now fails", verdict.newly_failing),
    ):
        for id in ids[:20]:
            console.say(f"  {words}: {id}")
        if len(ids) > 20:
            console.say(f"  {words}: {len(ids) - 20} more")
    judged = f"{count(len(proof.patch), 'file')} judged; " if verdict.report else ""
    console.note(f"{judged}took {duration(verdict.seconds)}", "dim")
