"""What happens with a proved patch: shown, applied, made a commit, or written to a file."""

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.cli.console import Console, await_typing, flush_typed
from agent.cli.text import count
from agent.session import Session
from sandbox.errors import UsageError
from tasks.branch import commit_on_branch, uncommitted_changes
from tasks.checkout import apply_to_checkout
from tasks.workspace import named


@dataclass(frozen=True)
class Ways:
    """The way chosen on the command line; `ask` where none was."""

    way: Literal["ask", "apply", "branch", "patch"]
    target: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.way

    @property
    def writes_checkout(self) -> bool:
        return self.way in {"apply", "branch"}


_ANSWERS = frozenset({"y", "yes", "n", "no"})


def configure(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what happens with the proved patch (default: asks)")
    group.add_argument("--apply", action="store_true", help="apply it to the checkout")
    group.add_argument("--branch", metavar="NAME", help="commit it on a new branch")
    group.add_argument(
        "--patch",
        dest="patch_file",
        metavar="FILE",
        help="write it to FILE; - is standard output",
    )


def chosen(options: argparse.Namespace) -> Ways:
    """The way that the flags say. Raises UsageError for more than one, and for one that cannot
    work: better before the run than after it."""
    ways: list[Ways] = []
    if options.apply:
        ways.append(Ways("apply"))
    if options.branch is not None:
        ways.append(Ways("branch", options.branch))
    if options.patch_file is not None:
        ways.append(Ways("patch", options.patch_file))
    if len(ways) > 1:
        raise UsageError(
            f"{' and '.join(way.flag for way in ways)} were both given", "Give one of them."
        )
    way = ways[0] if ways else Ways("ask")
    if way.way == "patch":
        _check_target(way.target, options)
    return way


def _check_target(target: str, options: argparse.Namespace) -> None:
    if target == "-":
        if options.json:
            raise UsageError(
                "--patch - and --json both want standard output", "The JSON has the patch."
            )
        if options.events:
            raise UsageError(
                "--patch - and --events both want standard output", "Give --patch a file."
            )
        return
    path = Path(target)
    if not target or path.is_dir() or not path.parent.is_dir():
        why = "there is no such folder" if target and not path.is_dir() else "it is no file's name"
        raise UsageError(f"--patch {target!r}: {why}", "Give a file in a folder that exists.")


def show_diff(console: Console, diff: str) -> None:
    """Prints a diff with its usual colours."""
    # At line feeds only: other characters that break lines are shown as what they are.
    for line in diff.removesuffix("\n").split("\n") if diff else ():
        if line.startswith(("+++", "---", "diff ", "index ")):
            console.say(line, "bold")
        elif line.startswith("@@"):
            console.say(line, "cyan")
        elif line.startswith("+"):
            console.say(line, "green")
        elif line.startswith("-"):
            console.say(line, "red")
        else:
            console.say(line)


def deliver(session: Session, ways: Ways, console: Console) -> str:
    """Does with the session's proved patch what was chosen.

    Returns a sentence that the user typed instead of `y`: the model's next turn; else nothing.
    Raises UsageError when the checkout has changed meanwhile; nothing is overwritten then.
    """
    try:
        return _deliver(session, ways, console)
    except UsageError as error:
        later = f"The patch stays with the run: {_later(session)}"
        error.hint = f"{error.hint}\n  {later}".strip()
        raise


def _later(session: Session) -> str:
    return f"greenroom show {session.run.id} --diff"


def _deliver(session: Session, ways: Ways, console: Console) -> str:
    match ways.way:
        case "apply":
            _show(session, console)
            _apply(session, console)
        case "branch":
            _show(session, console)
            _branch(session, ways.target, console)
        case "patch":
            _write(session, ways.target, console)
        case "ask":
            show_diff(console, session.diff())
            return _ask(session, console)
    return ""


def _show(session: Session, console: Console) -> None:
    if not console.quiet:
        show_diff(console, session.diff())


def _ask(session: Session, console: Console) -> str:
    later = _later(session)
    if session.task.verifier is not None:
        console.say("\nThe outcome was the state of a container; nothing of it is kept.")
        return ""
    if session.checkout is None:
        console.say(f"\nThe patch: {later}")
        return ""
    if not (sys.stdin.isatty() and console.terminal):
        place = shlex.quote(str(session.checkout.folder))
        console.say(f"\nNothing was applied. To apply it: {later} | git -C {place} apply")
        return ""
    answer = _answer(later, console)
    while len(answer.split()) == 1 and answer.lower() not in _ANSWERS:
        console.say("Type y or n, or a sentence of more than one word for the model.")
        answer = _answer(later, console)
    if answer.lower() in {"y", "yes"}:
        _apply(session, console)
    elif answer.lower() in {"", "n", "no"}:
        console.say(f"Nothing was applied. The patch stays with the run: {later}")
    else:
        return answer
    return ""


def _answer(later: str, console: Console) -> str:
    """What the user types; nothing at the end of the input. Ctrl-C ends the program."""
    flush_typed()
    try:
        # Whoever sees the question may be quicker than the rest of this call.
        console.write("\nApply this to your checkout? [y/N, or a sentence for the model] ")
        await_typing()
        return input().strip()
    except EOFError:
        console.say()
        return ""
    except KeyboardInterrupt:
        console.say(f"\nNothing was applied. The patch stays with the run: {later}")
        raise


def _apply(session: Session, console: Console) -> None:
    checkout = session.needed_checkout()
    base, patch = session.task.base, session.patch()
    applied = apply_to_checkout(checkout.folder, base, patch, checkout.fingerprint)
    session.record_applied("apply", str(checkout.folder))
    console.say(f"Applied to {checkout.folder}: {count(len(patch), 'file')} changed.")
    if applied.changed_meanwhile:
        changed = named(applied.changed_meanwhile)
        console.say(f"Changed meanwhile, and not in the proof: {changed}.", "yellow")


def _branch(session: Session, name: str, console: Console) -> None:
    checkout = session.needed_checkout()
    commit = commit_on_branch(
        checkout.folder, session.task.base, session.patch(), name, session.commit_message()
    )
    session.record_applied("branch", name)
    console.say(f"Committed {commit[:12]} on the new branch {name}; your checkout is as it was.")
    if missing := uncommitted_changes(checkout.folder, session.task.base):
        console.say(f"Not in the branch as they were in the proof: {named(missing)}.", "yellow")


def _write(session: Session, target: str, console: Console) -> None:
    diff = session.store.diff(session.task.base.tree, session.tree)
    if target == "-":
        console.bytes(diff)
        return
    try:
        Path(target).write_bytes(diff)
    except OSError as problem:
        raise UsageError(f"cannot write {target}: {problem.strerror}") from None
    session.record_applied("patch", target)
    console.say(f"Wrote the patch to {target}.")
