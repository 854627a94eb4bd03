"""`greenroom trust`: the user's word for a checkout's settings file, as it is now."""

import argparse
import sys

from agent import settings, trust
from agent.cli.command import add_checkout
from agent.cli.console import Console, flush_typed
from agent.keys import KEYS
from agent.settingsfile import repository_file
from sandbox.errors import UsageError

DESCRIPTION = """\
Trust this checkout's greenroom.toml (or [tool.greenroom]) as it is now. Until then it may not set
a model's address, a key variable, an image or commands that build one, ignored files to copy, or
raise a bound. A change of the table ends the trust.\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_checkout(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--remove", action="store_true", help="take the trust back")


def main(options: argparse.Namespace, console: Console) -> int:
    checkout = settings.top_of(options.checkout)
    if options.remove:
        known = trust.distrust(checkout)
        console.say(f"{checkout}: {'no longer trusted' if known else 'was not trusted'}")
        return 0
    found = repository_file(checkout)
    if found is None:
        raise UsageError(
            f"{checkout} has no greenroom.toml and no [tool.greenroom]",
            "`greenroom init` writes one.",
        )
    if trust.is_trusted(checkout, found.table):
        console.say(f"{found.path} is trusted already")
        return 0
    before = settings.load(checkout, {})
    console.say(f"{found.path} sets:")
    for name, value in found.table.items():
        matters = "" if KEYS[name].reach == "free" else "   <- needs your trust"
        console.say(f"  {name} = {value!r}{matters if _held_back(before, name) else ''}")
    if not options.yes and not _confirmed():
        console.say("Not trusted.")
        return 1
    trust.trust(checkout, found.table)
    console.say("Trusted, until it changes.")
    return 0


def _held_back(before: settings.Settings, name: str) -> bool:
    return any(entry.split()[0] == name for entry in before.ignored)


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("standard input is not a terminal, so nobody can be asked", "Give --yes.")
    flush_typed()
    try:
        return input("Trust it? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False
