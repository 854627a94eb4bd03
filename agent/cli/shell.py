"""`greenroom shell`: a shell in a fresh sandbox of a run's state."""

import argparse
import sys

from agent import runs, trajectory
from agent.cli.command import add_run
from agent.cli.console import Console
from agent.cli.process import run
from agent.codec import task_from
from agent.runs import Run
from sandbox.allowlist import Allowlist
from sandbox.buildjob import BuildSettings
from sandbox.container import Sandbox
from sandbox.errors import UsageError
from sandbox.image import ensure_image

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
    build = BuildSettings.from_environment()
    image = await ensure_image(task.image, progress=console.note, settings=build)
    async with Sandbox.open(
        image,
        task.base,
        task.policy,
        rebuild=task.rebuild,
        patch=patch,
        ca_bundle=build.ca_bundle.read_bytes() if build.ca_bundle else None,
    ) as box:
        state = f"turn {history.turn}" if patch else "the base"
        if places := task.policy.network:
            console.note(f"it may reach {Allowlist.parse(places)}")
        console.note(f"run {found.id}, {state}; the tests: {task.checks.test_command}", "dim")
        return await box.shell()
