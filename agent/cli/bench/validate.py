"""`greenroom bench validate`: whether a suite's tasks are what they say."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from agent import settings
from agent.cli.command import add_settings, flags
from agent.cli.console import Console
from agent.cli.process import run
from agent.cli.text import count
from agent.request import image_of
from agent.settings import Settings
from sandbox.errors import UsageError
from sandbox.scratch import scratch_folder
from sandbox.trees import TreeStore
from tasks.suites import suite
from tasks.suites import tasks as own
from tasks.suites.examining import TIMES, Finding, examine, prove

DESCRIPTION = """\
Check the tasks of a suite: their fields, that their bases and hidden tests are there, that their
reference solutions apply and change only what a patch may. With --run, clean rooms show for each
that tests fail on the base and pass with its solution.

examples:
  greenroom bench validate suite.toml             our own format
  greenroom bench validate quixbugs:QuixBugs      any suite
  greenroom bench validate suite.toml leap --run  one task, and run it\
"""
_STYLES = {"good": "green", "unsupported": "yellow"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", metavar="SUITE|FILE", help="a suite, or the file of one")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="only these (default: all)")
    parser.add_argument("--run", action="store_true", help="run the tests, too")
    parser.add_argument(
        "--times",
        type=int,
        default=1,
        metavar="N",
        help=f"run each so often, {TIMES} to find flaky tests (default: 1)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_settings(parser, ("build_network", "apt_mirror"))


def main(options: argparse.Namespace, console: Console) -> int:
    if options.times < 1:
        raise UsageError(f"--times: expected at least 1, got {options.times}")
    reference, problems = _opened(options.suite)
    if problems:
        for problem in problems:
            console.say(problem.message, "red")
            if problem.hint:
                console.say(f"  {problem.hint}")
        if options.json:
            _document(console, [Finding("", "wrong", p.message, p.hint) for p in problems])
        return 1
    found = settings.load(None, flags(options))
    findings = run(_examine(reference, options, found, console))
    if options.json:
        _document(console, findings)
    bad = sum(finding.bad for finding in findings)
    left = sum(finding.status == "unsupported" for finding in findings)
    more = f", {left} cannot be run here" if left else ""
    console.say(
        f"{count(len(findings), 'task')}: {bad} with problems{more}", "red" if bad else "green"
    )
    return 1 if bad else 0


def _opened(text: str) -> tuple[str, list[UsageError]]:
    """The suite's reference, and what is wrong with the file of one of ours. Raises UsageError for
    what cannot be read at all."""
    kind, colon, place = text.partition(":")
    if colon and kind != "tasks":
        return text, []
    path = Path(place if colon else text)
    if not colon and not path.is_file():
        suite.find(text)
        return text, []
    return f"tasks:{path}", own.wrong(path)


async def _examine(
    reference: str, options: argparse.Namespace, found: Settings, console: Console
) -> Sequence[Finding]:
    chosen = suite.find(reference)
    for name in options.tasks:
        suite.check_name(name, chosen.names(), f"task in {reference} called")
    findings = []
    for name in options.tasks or chosen.names():
        with scratch_folder() as folder:
            store = TreeStore.create(folder / "trees.git")
            examined = examine(chosen, name, store)
            finding = examined.finding
            if options.run and examined.task and examined.gold and not finding.bad:
                image = await image_of(
                    examined.task.image, found, console.status, checkout=examined.task.base
                )
                finding = await prove(
                    name,
                    examined.task,
                    examined.gold,
                    image,
                    times=options.times,
                    progress=lambda text, name=name: console.status(f"{name}: {text}"),  # type: ignore[misc]
                )
            elif options.run and examined.task and not finding.bad:
                finding = replace(finding, told=f"{finding.told}: nothing was run")
        findings.append(finding)
        _print(console, finding)
    return findings


def _print(console: Console, finding: Finding) -> None:
    told = f": {finding.told}" if finding.told else ""
    line = f"{finding.status} {finding.task}{told}"
    if finding.status == "good":
        console.note(line, "green")
        return
    console.say(line, _STYLES.get(finding.status, "red"))
    if finding.hint:
        console.say(f"  {finding.hint}")


def _document(console: Console, findings: Sequence[Finding]) -> None:
    console.document({"schema": "greenroom.validation/1", "tasks": [asdict(f) for f in findings]})
