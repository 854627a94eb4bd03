"""`greenroom init`: a commented greenroom.toml from what is found in the checkout."""

import argparse
import os

from agent import settings
from agent.cli.command import add_checkout, add_settings, flags
from agent.cli.console import Console
from agent.keys import KEYS, Value, as_toml
from agent.request import Request, detected
from agent.settingsfile import OWN, PROJECT, in_folder, repository_file
from sandbox.errors import UsageError
from tasks.nofollow import CheckoutFiles
from tasks.task import Task

DESCRIPTION = """\
Write a commented greenroom.toml from what is found in the checkout: the test command and the
rebuild step as they were detected, every other setting as a comment with its default.\
"""
_HEAD = """\
# Settings of Greenroom for this repository. `greenroom config` shows what is in force and why.
# A commented line shows the default or, marked (example), what a value may look like. Lines marked
# (trusted) count only after `greenroom trust`, and so does raising a bound.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_checkout(parser)
    parser.add_argument("--force", action="store_true", help="replace an existing greenroom.toml")
    add_settings(parser, ("test_cmd", "rebuild"))


def main(options: argparse.Namespace, console: Console) -> int:
    top = settings.top_of(options.checkout)
    target = top / OWN
    if os.path.lexists(target) and not options.force:
        raise UsageError(f"{target} exists", "Edit it, or give --force to replace it.")
    read = in_folder(top)
    found = repository_file(top, lambda name: read(name) if name == PROJECT else None)
    if found:
        raise UsageError(
            f"{found.path} has settings already, below [tool.greenroom]",
            f"Edit them, or move them to {OWN}.",
        )
    task = detected(Request(options.checkout, flags=flags(options)))
    try:
        # The checkout may hold planted links: none is followed.
        with CheckoutFiles(top) as files:
            files.place(files.stage(OWN, _text(task).encode("utf-8"), 0o666), OWN)
    except OSError as problem:
        raise UsageError(f"cannot write {target}: {problem.strerror}") from None
    for note in task.notes:
        console.note(note, "dim")
    console.say(f"Wrote {target}. Try it: greenroom check")
    return 0


def _text(task: Task) -> str:
    """The file's text: detected values as settings, all else commented out."""
    found: dict[str, Value] = {"test_cmd": task.checks.test_command}
    if task.rebuild:
        found["rebuild"] = task.rebuild.command
    lines = [_HEAD]
    for name, key in KEYS.items():
        if key.reach == "user":
            continue
        trusted = " (trusted)" if key.reach == "guarded" else ""
        choices = f": {', '.join(key.choices)}" if key.choices else ""
        value = found.get(name, key.default)
        example = " (example)" if value is None else ""
        lines.append(f"# {key.help}{choices}{trusted}{example}")
        lines.append(f"{'' if name in found else '# '}{name} = {as_toml(key, value)}\n")
    return "\n".join(lines)
