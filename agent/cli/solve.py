"""`greenroom solve`: a task in, a proved patch out."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.cli import delivery, working
from agent.cli.command import add_checkout, add_settings, flags
from agent.cli.console import Console
from agent.keys import CHECKS, LIMITS, MODEL, REASONING, SAMPLING, SANDBOX
from agent.request import Request
from agent.session import start
from sandbox.errors import UsageError
from tasks.branch import check_new_branch

DESCRIPTION = """\
Solve a task in a git checkout: a model works in a sandbox until the tests pass, a clean room proves
the change, and you decide whether it is applied. Without words, the task is to make the failing
tests pass. The checkout is not written before the end, and then only as you say.

examples:
  greenroom solve                                  make the failing tests pass
  greenroom solve "fix the failing date test"      with words
  gh issue view 7 --json body -q .body | greenroom solve -
  greenroom solve --task starter/search-pages -m embedded\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="TASK",
        help="the task in words; - reads it from standard input",
    )
    add_checkout(parser)
    parser.add_argument("--task", metavar="SUITE/NAME", help="a task of a suite, e.g. starter/NAME")
    parser.add_argument("--task-file", type=Path, metavar="FILE", help="a task described in TOML")
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="TEST",
        help="id of a test that must pass (again for more); default: all that fail now",
    )
    delivery.configure(parser)
    working.configure(parser)
    add_settings(parser, (*MODEL, "toolset", *SAMPLING, *REASONING, *LIMITS, *CHECKS, *SANDBOX))


def main(options: argparse.Namespace, console: Console) -> int:
    given = [name for name in ("task", "task_file") if getattr(options, name)]
    if len(given) == 2:
        raise UsageError("--task and --task-file were both given", "Give one of them.")
    if given and options.checkout != Path():
        raise UsageError(
            f"-C and --{given[0].replace('_', '-')} were both given", "The task has its own folder."
        )
    ways = delivery.chosen(options)
    if options.task and ways.writes_checkout:
        raise UsageError(
            f"{ways.flag} needs a checkout, and --task {options.task} has none",
            "Use --patch FILE to keep the patch.",
        )
    request = Request(
        folder=options.checkout,
        words=_words(options.words, console),
        suite_task=options.task,
        expected=tuple(options.expect),
        flags=flags(options),
    )
    if options.task_file:
        request = request.with_task_file(options.task_file)
    if ways.way == "branch":
        check_new_branch(request.folder, ways.target)
    view = working.View(options, console)
    return working.conduct(start(request, view.listeners, view.say), view, ways)


def _words(given: Sequence[str], console: Console) -> str:
    """The task's words. Raises UsageError for more than one argument, and for no text."""
    if len(given) > 1:
        raise UsageError(
            f"the task came as {len(given)} arguments, {given[0]!r} and {given[1]!r} among them",
            f'Put it in quotes: greenroom solve "{" ".join(given)[:60]}"',
        )
    if list(given) != ["-"]:
        words = _text(given[0].encode("utf-8", "surrogateescape")) if given else ""
        if given and not words:
            raise UsageError(
                "the task is an empty text",
                "Say what is to be done, or give no argument to have the failing tests mended.",
            )
        return words
    if sys.stdin.isatty():
        console.note("type the task; Ctrl-D on a line of its own ends it", "dim")
    words = _text(sys.stdin.buffer.read())
    if not words:
        raise UsageError(
            "the task was to come from standard input, which is empty",
            "Pipe a text in, or give the task as an argument.",
        )
    return words


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError as problem:
        raise UsageError(
            f"the task is not UTF-8 text: {problem.reason} at byte {problem.start}"
        ) from None
