"""`greenroom shell`: a shell in a fresh sandbox of a run's state."""

import argparse
import sys

from agent import runs, settings, trajectory
from agent.cli.command import add_run
from agent.cli.console import Console
from agent.cli.process import run
from agent.codec import task_from
from agent.request import ca_bundle_of, image_of
from agent.runs import Run
from sandbox.allowlist import Allowlist
from sandbox.container import Sandbox
from sandbox.errors import UsageError

DESCRIPTION = """\
Open a shell in a fresh sandbox that holds a run's state: its base and its last change, built as for
its tests. What you do there stays there.\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--base", action="store_true", help="the state before any change")


def main(options: argparse.Namespace, console: Console) -> int:
    if not sys.stdin.isatty():
        raise UsageError("a shell needs a terminal, and standard input is none")
    found = runs.find(options.run)
    return run(_shell(found, options.base, console))


async def _shell(found: Run, base: bool, console: Console) -> int:
    history = trajectory.history(found.events(), found.trajectory)
    store = found.store()
    task = task_from(history.started["task"], store)
    tree = None if base else history.tree
    patch = store.between(task.base.tree, tree) if tree else None
    own = settings.load(None, {})
    image = await image_of(task.image, own, console.note, checkout=task.base)
    async with Sandbox.open(
        image,
        task.base,
        task.policy,
        rebuild=task.rebuild,
        patch=patch,
        ca_bundle=ca_bundle_of(task, own),
    ) as box:
        state = f"turn {history.turn}" if patch else "the base"
        if places := task.policy.network:
            console.note(f"it may reach {Allowlist.parse(places)}")
        console.note(f"run {found.id}, {state}; the tests: {task.checks.test_command}", "dim")
        return await box.shell()
