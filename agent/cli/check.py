"""`greenroom check`: the image and the tests in the room, before anyone spends a token."""

import argparse

from agent import check
from agent.cli.command import add_checkout, add_settings, flags
from agent.cli.console import Console
from agent.cli.process import run
from agent.cli.text import count, duration, one_line, size
from agent.cli.ticker import Ticker
from agent.codec import report_data
from agent.keys import CHECKS, SANDBOX
from agent.missing import by_advice
from agent.request import Request
from sandbox.engine import shared_engine
from sandbox.image import ImageSpec
from tasks.task import NOT_COLLECTED, TestReport

DESCRIPTION = """\
Build the image, run the tests on the checkout in a sandbox, and say what passes, what fails, what
is missing, and what it takes. No model is run. Exits with 0 when all tests ran, whatever they said,
and with 1 when the run cannot count: it broke off, or contradicts itself.\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_checkout(parser)
    parser.add_argument("--task", metavar="SUITE/NAME", help="a task of a suite instead")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_settings(parser, (*CHECKS, *SANDBOX))


def main(options: argparse.Namespace, console: Console) -> int:
    request = Request(options.checkout, suite_task=options.task, flags=flags(options))
    found = run(check.check(request, lambda text: console.note(text, "dim"), Ticker(console)))
    if options.json:
        console.document(
            {
                "image": {"id": found.image.reference, "name": found.image.name},
                "installed": installed(found.task.image),
                "engine": shared_engine().as_dict(),
                "policy": found.task.policy.as_dict(),
                "test_command": found.task.checks.test_command,
                "notes": list(found.task.notes),
                "missing": [each.what for each in found.missing],
                "seconds": round(found.seconds, 3),
                "report": report_data(found.report),
            }
        )
    else:
        _print(found, console)
    if not _ran(found.report):
        return 3
    return 0 if found.report.complete else 1


def _ran(report: TestReport) -> bool:
    """Whether a test, or at least a file of tests, has a result."""
    return report.ran and bool(report.results)


def _print(found: check.Found, console: Console) -> None:
    report, task = found.report, found.task
    console.say(f"image      {found.image.name}")
    for line in installed(task.image):
        console.say(f"installed  {line}")
    console.say(f"tests      {task.checks.test_command} ({task.checks.framework})")
    if task.rebuild:
        console.say(f"rebuild    {task.rebuild.command}: {found.rebuild}")
    bounds = f"{size(task.policy.memory_bytes)} memory, {task.policy.cpus:g} cores"
    bounds += "" if task.policy.network else ", no network"
    console.say(f"sandbox    {bounds}; open after {duration(found.open_seconds)}")
    for relaxation in task.policy.relaxations():
        console.say(f"           {relaxation}", "yellow")
    console.say()
    ids = list(report.results)
    shown = ids if console.verbose else report.failing[:20]
    for id in shown:
        result = report.results[id]
        style = "green" if result.status == "passed" else "red"
        told = "" if result.status == "passed" else f"  {one_line(result.message, 90)}"
        console.say(f"{result.status:8} {id}{told}", style if told or console.verbose else "")
    if len(report.failing) > len(shown):
        console.say(f"... and {len(report.failing) - len(shown)} more that fail; -v lists all")
    for error in _other_errors(report):
        console.say(f"could not be run: {error.strip()}", "red")
    _verdict(found, report, console)


def installed(spec: ImageSpec) -> list[str]:
    """What was put into the image for this repository, and what decided on it."""
    parts = [f"Debian packages: {', '.join(spec.apt)}"] if spec.apt else []
    parts += [install.what for install in spec.installs]
    parts += [f"Python packages: {', '.join(spec.pip)}"] if spec.pip else []
    parts += [f"setup command: {one_line(command, 90)}" for command in spec.setup]
    return parts


def _other_errors(report: TestReport) -> list[str]:
    """What kept tests from running, but for files that could not be loaded: those are results."""
    return [
        error for error in report.errors if error.partition(NOT_COLLECTED)[0] not in report.results
    ]


def _verdict(found: check.Found, report: TestReport, console: Console) -> None:
    skipped = sum(1 for result in report.results.values() if result.status == "skipped")
    unloaded = sum(1 for id in report.failing if report.results[id].file == id)
    errors = len(_other_errors(report))
    parts = [f"{len(report.passed)} passed", f"{len(report.failing) - unloaded} failed"]
    parts += [f"{skipped} skipped"] if skipped else []
    parts += [f"{count(unloaded, 'file')} could not be loaded"] if unloaded else []
    parts += [count(errors, "error")] if errors else []
    took = f"{duration(report.seconds)}, {size(report.max_rss_bytes)} at most"
    console.say(f"{', '.join(parts)} in {took}", "bold")
    if not report.complete and report.reason:
        console.say(report.reason, "yellow")
        if _ran(report):
            console.say("no patch can be proved by such a run", "yellow")
    for advice, lacking in by_advice(found.missing).items():
        for what in lacking:
            console.say(f"missing: {what}", "yellow")
        console.say(f"  {advice}")
    if not _ran(report):
        console.say("the tests could not be run", "red")
    if not report.ran:
        tail = report.output.strip().splitlines()[-15:]
        console.say("the end of the output:")
        for line in tail:
            console.say(f"  {line}")
