"""`greenroom ci local`: all that the bot does, but for talking to a forge."""

import argparse
import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from agent.bot import config, pulltext, rules, secretscan
from agent.bot.attempt import Seen, attempt
from agent.bot.config import Config
from agent.bot.ground import Ground
from agent.bot.instruction import instruction
from agent.bot.proposal import FILE, GRADES, Proposal
from agent.bot.propose import concluded
from agent.bot.report import FILE as REPORT
from agent.bot.trigger import Actor, Trigger
from agent.cli.command import add_checkout, add_settings, flags
from agent.cli.console import Console
from agent.cli.process import run
from agent.keys import CHECKS, LIMITS, MODEL, REASONING, SAMPLING, SANDBOX
from agent.settingsfile import OWN, PROJECT, Reader
from sandbox.errors import UsageError
from sandbox.git import GitError
from tasks.discovery import Checkout, find_checkout
from tasks.revision import of_commit, resolve

DESCRIPTION = """\
Do with a checkout what the bot does with an issue, and print the pull request that it would open:
its title, its body and its diff, or why there would be none. The work is on the last commit; what
is not committed is no part of it. Nothing is sent to a forge, and nothing is written to the
checkout but the folder of -o.

examples:
  greenroom ci local --issue issue.txt             its first line is the title
  gh issue view 7 --json title,body -q '.title+"\\n"+.body' | greenroom ci local --issue -
  greenroom ci local --guidance "look at calc.py"\
"""
#: An issue of a forge has at most 65,536 characters.
_MOST = 1 << 20
SOLVED, NOT_SOLVED, BROKEN = 0, 1, 3


def configure(parser: argparse.ArgumentParser) -> None:
    add_checkout(parser)
    parser.add_argument(
        "--issue",
        metavar="FILE|-",
        help="the issue, its title in the first line; - reads it from standard input "
        "(default: none, the task is to mend the failing tests)",
    )
    parser.add_argument("--guidance", default="", metavar="WORDS", help="what you ask for yourself")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("greenroom-proposal"),
        metavar="FOLDER",
        help=f"where {FILE} and {REPORT} go (default: greenroom-proposal)",
    )
    add_settings(parser, (*MODEL, "toolset", *SAMPLING, *REASONING, *LIMITS, *CHECKS, *SANDBOX))


def main(options: argparse.Namespace, console: Console) -> int:
    title, text = _issue(options.issue, console) if options.issue is not None else ("", "")
    trigger = Trigger(
        key="local",
        action="fix",
        source="dispatch",
        actor=Actor(getpass.getuser(), 0),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        title=title,
        text=text,
        guidance=options.guidance.strip(),
    )
    checkout = find_checkout(options.checkout)
    ground = _ground(checkout)
    read = of_commit(checkout, ground.commit)
    found = config.read(read(OWN), read(PROJECT))
    _check_folder(options.output)
    secretscan.check_installed()
    console.note(f"on {ground.commit[:12]} of {ground.branch}", "dim")
    seen = Seen()

    def say(line: str) -> None:
        console.note(line, "dim")

    async def work() -> Proposal:
        words = instruction(trigger, read)
        # A checkout's settings are trusted as the user says, here as everywhere.
        return await attempt(
            *(checkout.top, ground, trigger, words, flags(options), say, seen), trusted=False
        )

    made = run(concluded(work, trigger, found, options.output, say, seen, [ground]))
    if seen.error is not None:
        raise seen.error
    return _tell(made, trigger, found, read, options.output, console)


def _issue(name: str, console: Console) -> tuple[str, str]:
    """The title and the text of the issue in a file. Raises UsageError for one that is none."""
    if name == "-":
        if sys.stdin.isatty():
            console.note("type the issue, its title first; Ctrl-D ends it", "dim")
        content, where = _bounded(sys.stdin.buffer), "standard input"
    else:
        where = name
        try:
            with open(name, "rb") as stream:
                content = _bounded(stream)
        except OSError as problem:
            raise UsageError(f"cannot read the issue {name}: {problem.strerror}") from None
    if len(content) > _MOST:
        raise UsageError(f"the issue in {where} is larger than any: over {_MOST >> 20} MiB")
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError as problem:
        raise UsageError(
            f"the issue in {where} is not UTF-8 text: {problem.reason} at byte {problem.start}"
        ) from None
    if not text:
        raise UsageError(f"the issue in {where} is empty", "Its first line is the title.")
    first, _, rest = text.partition("\n")
    return first.strip(), rest.strip()


def _bounded(stream: BinaryIO) -> bytes:
    return stream.read(_MOST + 1)


def _ground(checkout: Checkout) -> Ground:
    """The last commit of a checkout, and the branch that it is on."""
    commit = resolve(checkout, "HEAD")
    try:
        named = checkout.git.run("symbolic-ref", "--quiet", "--short", "HEAD").stdout
        branch = named.decode("utf-8", "replace").strip()
    except GitError:  # on no branch
        branch = commit[:12]
    return Ground(commit, branch, commit)


def _check_folder(folder: Path) -> None:
    """Raises UsageError for a folder that could not be written: better before the work than
    after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).unlink(missing_ok=True)
    except OSError as problem:
        raise UsageError(
            f"cannot write to {folder}: {problem.strerror}", "Name another folder with -o."
        ) from None


def _tell(
    made: Proposal,
    trigger: Trigger,
    found: Config,
    read: Reader,
    folder: Path,
    console: Console,
) -> int:
    grade = f" ({made.grade})" if made.grade else ""
    console.say(f"{made.status}{grade}: {made.reason}", "bold")
    console.note(f"{folder / FILE}, {folder / REPORT}", "dim")
    if made.status != "solved":
        if made.summary:
            console.say(f"The model said: {made.summary}")
        return {"nothing to do": SOLVED, "broken": BROKEN}.get(made.status, NOT_SOLVED)
    if objections := _objections(made, found, read):
        console.say("The bot would not publish it:", "red")
        for objection in objections:
            console.say(f"  {objection}")
    new = pulltext.pull_request(trigger, made, found, read, base=made.branch)
    console.say(f"\n{new.title}", "bold")
    console.say(f"{new.branch} into {new.base_branch}{', a draft' if new.draft else ''}")
    console.say(f"\n{new.body}\n")
    console.say(made.diff)
    return NOT_SOLVED if objections else SOLVED


def _objections(made: Proposal, found: Config, read: Reader) -> Sequence[str]:
    weak = GRADES.index(made.grade) < GRADES.index(found.require)
    return [
        *([f"Its grade is less than what is required: {found.require}."] if weak else []),
        *rules.violations(made.patch, read, found),
        *secretscan.found(made.patch, read),
    ]
