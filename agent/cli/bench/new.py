"""`greenroom bench new`: a task made of a commit."""

import argparse
from pathlib import Path

from agent import settings
from agent.cli.command import add_settings, flags
from agent.cli.console import Console
from agent.cli.process import run
from agent.cli.text import count
from agent.request import image_of
from agent.settings import Settings
from sandbox.scratch import scratch_folder
from sandbox.trees import TreeStore
from tasks.suites.tasks.making import Draft, Settled, draft, settle, write

DESCRIPTION = """\
Make a task of a commit and append it to a suite's file: the tree before the commit is what a model
gets, the tests that the commit changed are hidden, the rest of it is the reference solution. Clean
rooms run the tests on both three times: what fails before and passes after is what has to pass.

examples:
  greenroom bench new ../calendar 1a2b3c4 -o suite.toml
  greenroom bench new . HEAD --instruction "Parse dates of leap years."\
"""
#: Settings that are fields of a suite's task as well.
FIELDS = ("test_cmd", "lint_cmd", "rebuild", "test_timeout", "image", "python", "apt", "pip")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("repository", metavar="REPO", type=Path, help="a checkout")
    parser.add_argument("commit", metavar="COMMIT", help="the commit that solves the task")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("suite.toml"),
        help="the suite's file, TOML or JSONL (default: suite.toml)",
    )
    parser.add_argument("--id", metavar="NAME", default="", help="the task's name")
    parser.add_argument(
        "--instruction",
        metavar="TEXT",
        default="",
        help="what is to be done (default: the commit's message, which may tell how)",
    )
    add_settings(parser, (*FIELDS, "build_network", "apt_mirror"))


def main(options: argparse.Namespace, console: Console) -> int:
    given = flags(options)
    found = settings.load(None, given)
    with scratch_folder() as folder:
        made = draft(
            options.repository,
            options.commit,
            TreeStore.create(folder / "trees.git"),
            id=options.id,
            instruction=options.instruction,
            given={name: value for name, value in given.items() if name in FIELDS},
        )
        for note in made.notes:
            console.note(note, "dim")
        settled = run(_settle(made, found, console))
        write(options.output, made, settled.expected)
    console.say(
        f"{made.task.id}: {count(len(settled.expected), 'test')} to pass, "
        f"{count(len(made.hidden), 'file')} hidden; added to {options.output}",
        "green",
    )
    if settled.flaky:
        console.say(f"flaky, so not among them: {', '.join(settled.flaky[:5])}", "yellow")
    if not options.instruction:
        console.note("Read its instruction: a commit's message may tell how it is done.")
    return 0


async def _settle(made: Draft, found: Settings, console: Console) -> Settled:
    image = await image_of(made.task.image, found, console.status, checkout=made.task.base)
    return await settle(made, image, progress=console.status)
