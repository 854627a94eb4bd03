"""`greenroom prune`: removes what killed processes and broken engines left; on demand more."""

import argparse
import re
from collections.abc import Sequence
from datetime import timedelta

from agent import paths, runs
from agent.cli.console import Console
from agent.cli.text import count
from agent.runs import Run
from sandbox.engine import Engine
from sandbox.errors import SetupError, UsageError
from sandbox.imagestore import remove_images, remove_nameless
from sandbox.leftovers import remove_leftovers
from sandbox.scratch import remove_left_folders

DESCRIPTION = """\
Remove what killed processes and broken engines left behind: containers, temporary folders,
nameless images, runs that never began. With --runs also old runs with all that is kept of them,
with --images also images of ours that were not used lately. What a process works on now is never
removed.\
"""
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
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
    age = _age(options.older_than or _USUAL_AGE)
    pruning = _Pruning(console, options.dry_run)
    folders = remove_left_folders(dry_run=options.dry_run)
    pruning.told("temporary folder", [folder.name for folder in folders])
    pruning.runs("unbegun run", runs.unbegun())
    if options.runs:
        pruning.runs("run", runs.older_than(age))
    try:
        engine = Engine.connect()
    except SetupError as problem:
        console.say(f"containers and images were not looked at: {problem.message}", "yellow")
        return 0
    pruning.told("container", remove_leftovers(engine.api, dry_run=options.dry_run))
    pruning.told("nameless image", remove_nameless(engine=engine, dry_run=options.dry_run))
    if options.images:
        pruning.images(engine, age)
    return 0


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,4})([hdw])", text.strip())
    if not found:
        raise UsageError(f"--older-than: expected an age such as 12h, 30d or 2w, got {text!r}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


class _Pruning:
    """Removes, or with `dry` only says what it would remove, one a line."""

    def __init__(self, console: Console, dry: bool) -> None:
        self._console = console
        self._dry = dry

    def told(self, kind: str, names: Sequence[str], more: str = "") -> None:
        verb = "would remove" if self._dry else "removed"
        for name in names if self._dry else ():
            self._console.say(f"  {kind} {name}")
        self._console.say(f"{verb} {count(len(names), kind)}{more}")

    def runs(self, kind: str, found: Sequence[Run]) -> None:
        for run in found if not self._dry else ():
            run.remove()
        self.told(kind, [run.id for run in found])

    def images(self, engine: Engine, age: timedelta) -> None:
        cache = paths.cache_folder()
        removed, kept = remove_images(age, engine=engine, cache=cache, dry_run=self._dry)
        in_use = f"; {count(len(kept), 'image')} in use stayed" if kept else ""
        # Nameless ones were told before.
        self.told("image", [image.names[0] for image in removed if image.names], in_use)
