"""`greenroom prune`: removes old runs, and what broken engines left behind."""

import argparse
import re
from datetime import UTC, datetime, timedelta

from agent import paths, runs
from agent.cli.console import Console
from agent.cli.text import count
from sandbox.engine import Engine
from sandbox.errors import SetupError, UsageError
from sandbox.imagestore import remove_images
from sandbox.leftovers import remove_leftovers

DESCRIPTION = """\
Remove old runs with all that is kept of them, and containers that a killed process left behind.
A run that is being worked on is never removed.\
"""
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        default="30d",
        help="remove what is older than AGE, e.g. 12h, 30d, 2w, 0d for all (default: 30d)",
    )
    parser.add_argument("--images", action="store_true", help="also remove unused images of ours")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def main(options: argparse.Namespace, console: Console) -> int:
    age = _age(options.older_than)
    _prune_runs(age, options.dry_run, console)
    if options.dry_run:
        return 0
    try:
        engine = Engine.connect()
    except SetupError as problem:
        console.say(f"containers and images were not looked at: {problem.message}", "yellow")
        return 0
    left = remove_leftovers(engine.api)
    console.say(f"removed {count(len(left), 'container')} that dead processes left behind")
    if options.images:
        removed, kept = remove_images(age, engine=engine, cache=paths.cache_folder())
        in_use = f"; {count(len(kept), 'image')} in use stayed" if kept else ""
        console.say(f"removed {count(len(removed), 'image')}{in_use}")
    return 0


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,4})([hdw])", text.strip())
    if not found:
        raise UsageError(f"--older-than: expected an age such as 12h, 30d or 2w, got {text!r}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _prune_runs(age: timedelta, dry: bool, console: Console) -> None:
    limit = datetime.now(UTC) - age
    removed = 0
    for run in runs.every():
        touched = run.trajectory if run.trajectory.exists() else run.folder
        if datetime.fromtimestamp(touched.stat().st_mtime, UTC) > limit or run.busy():
            continue
        removed += 1
        if dry:
            console.say(f"would remove {run.id}")
        else:
            run.remove()
    console.say(f"{'would remove' if dry else 'removed'} {count(removed, 'run')}")
