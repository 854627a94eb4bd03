"""What every command shares: its parser, its flags, and how its errors are shown."""

import argparse
import errno
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import chain
from pathlib import Path
from types import ModuleType

from agent.cli.console import Console
from agent.cli.process import Interrupted
from agent.keys import KEYS, BadValue, Key, Value, check, parse_text, split
from sandbox.errors import GreenroomError, SetupError, UsageError

USAGE = 2


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like every other error of ours."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message, f"`{self.prog} --help` says what it takes.")


def execute(module: ModuleType, name: str, words: Sequence[str]) -> int:
    """Parses `words` for the command in `module` and runs it; returns its exit code.

    A command module has `DESCRIPTION`, `configure(parser)` and `main(options, console)`.
    """
    parser = _Parser(
        prog=f"greenroom {name}",
        description=module.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    add_common(parser, False)
    # An error among the flags is told as they ask, too.
    console = Console(json="--json" in words, lines="--events" in words)
    debug = "--debug" in words or bool(os.environ.get("GREENROOM_DEBUG"))
    try:
        options = parser.parse_args(words)
        console = Console(
            quiet=options.quiet,
            verbose=options.verbose,
            json=getattr(options, "json", False),
            lines=getattr(options, "events", False),
            raw=getattr(options, "patch_file", None) == "-",
        )
        code: int = module.main(options, console)
    except GreenroomError as error:
        if debug:
            traceback.print_exc()
        console.error(error)
        return error.exit_code
    except Interrupted as interrupted:
        console.stopped(128 + interrupted.number)
        return 128 + interrupted.number
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        # The last resort: a full disk, a folder that may not be written, or a fault of ours. None
        # of them may pass for exit code 1, which says that a task was not solved.
        if debug:
            traceback.print_exc()
        console.error(_unexpected(error))
        return SetupError.exit_code
    return code


def add_common(parser: argparse.ArgumentParser, default: bool | str = argparse.SUPPRESS) -> None:
    """Adds the flags that every command has. A command adds them to the parsers of its own
    subcommands, where they leave what was given before the subcommand as it is.
    """
    for names, told in (
        (("-q", "--quiet"), "print only the result"),
        (("-v", "--verbose"), "print more on the way"),
        (("--debug",), "show tracebacks"),
    ):
        parser.add_argument(*names, action="store_true", default=default, help=told)


def _unexpected(error: Exception) -> GreenroomError:
    """An error that no part of the program has words for, in words."""
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        hint = "Free some space and try again." if full else "--debug shows where it happened."
        return SetupError(f"the system says: {error.strerror}{where}", hint)
    said = " ".join(str(error).split())[:300]
    return GreenroomError(
        f"an error inside of greenroom: {type(error).__name__}{f': {said}' if said else ''}",
        "This is a fault of ours. --debug shows where it happened; please report it.",
    )


def add_checkout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-C",
        dest="checkout",
        metavar="PATH",
        type=Path,
        default=Path(),
        help="work on the checkout at PATH (default: the current folder)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="its id or a part of it (default: the latest of this checkout)",
    )


def add_settings(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Adds a flag for each of these settings."""
    group = parser.add_argument_group("settings")
    for name in names:
        key = KEYS[name]
        flags = ["-m", key.flag] if name == "model" else [key.flag]
        default = "" if key.default in (None, ()) else f" (default: {_plain(key.default)})"
        group.add_argument(
            *flags,
            dest=f"setting_{name}",
            metavar="|".join(key.choices) if key.choices else key.kind.upper(),
            action="append" if key.kind == "list" else "store",
            help=key.help + default + _how_many(key),
        )


def _how_many(key: Key) -> str:
    """How a flag takes several, for one that does."""
    if key.kind != "list":
        return ""
    return " (several: again, or with commas)" if key.commas else " (several: give it again)"


_AGES = {"h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str) -> timedelta:
    """The age that `--older-than` gives. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,4})([hdw])", text.strip())
    if not found:
        raise UsageError(f"--older-than: expected an age such as 12h, 30d or 2w, got {text!r}")
    return timedelta(**{_AGES[found[2]]: int(found[1])})


def _plain(value: Value) -> str:
    if isinstance(value, int) and value >= 1 << 20 and value % (1 << 20) == 0:
        return f"{value >> 20}M"
    return f"{value:,.0f}" if isinstance(value, float) and value > 99 else str(value)


def flags(options: argparse.Namespace) -> Mapping[str, Value]:
    """The settings given as flags. Raises UsageError for a bad value."""
    values: dict[str, Value] = {}
    for name, raw in vars(options).items():
        if not name.startswith("setting_") or raw is None:
            continue
        key = KEYS[name.removeprefix("setting_")]
        try:
            if isinstance(raw, list):
                several = (split(key, text) if key.commas else [text] for text in raw)
                values[key.name] = check(key, tuple(chain.from_iterable(several)))
            else:
                values[key.name] = parse_text(key, raw)
        except BadValue as problem:
            raise UsageError(f"{key.flag}: {problem}") from None
    return values
