"""`greenroom prune`: removes what killed processes and broken engines left; on demand more."""

import argparse
from collections.abc import Sequence

from agent import runs
from agent.cli.command import parse_age
from agent.cli.console import Console
from agent.cli.image import prune_images
from agent.cli.text import count
from agent.runs import Run
from sandbox.engine import Engine
from sandbox.errors import SetupError, UsageError
from sandbox.leftovers import remove_leftovers
from sandbox.scratch import remove_left_folders

DESCRIPTION = """\
Remove what killed processes and broken engines left behind: containers, temporary folders,
nameless images, runs that never began. With --runs also old runs with all that is kept of them,
with --images also images of ours that were not used lately. What a process works on now is never
removed.\
"""
_USUAL_AGE = "30d"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", action="store_true", help="also remove runs older than AGE")
    parser.add_argument("--images", action="store_true", help="also remove images unused for AGE")
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        help=f"how old those have to be: 12h, 30d, 2w, 0d for all (default: {_USUAL_AGE})",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def main(options: argparse.Namespace, console: Console) -> int:
    if options.older_than and not (options.runs or options.images):
        raise UsageError(
            "--older-than says how old runs and images have to be", "Give --runs, --images or both."
        )
    age = parse_age(options.older_than or _USUAL_AGE)
    dry = options.dry_run
    folders = remove_left_folders(dry_run=dry)
    _told(console, dry, "temporary folder", [folder.name for folder in folders])
    _prune_runs(console, dry, "unbegun run", runs.unbegun())
    if options.runs:
        _prune_runs(console, dry, "run", runs.older_than(age))
    try:
        engine = Engine.connect()
    except SetupError as problem:
        console.say(f"containers and images were not looked at: {problem.message}", "yellow")
        return 0
    _told(console, dry, "container", remove_leftovers(engine.api, dry_run=dry))
    prune_images(age if options.images else None, console, engine, dry_run=dry)
    return 0


def _told(console: Console, dry: bool, kind: str, names: Sequence[str]) -> None:
    """Says what was removed, or with `dry` what would be, that one a line."""
    for name in names if dry else ():
        console.say(f"  {kind} {name}")
    console.say(f"{'would remove' if dry else 'removed'} {count(len(names), kind)}")


def _prune_runs(console: Console, dry: bool, kind: str, found: Sequence[Run]) -> None:
    for run in found if not dry else ():
        run.remove()
    _told(console, dry, kind, [run.id for run in found])
