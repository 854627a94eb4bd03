"""The console script `greenroom`: finds the command and runs its module.

Only the chosen command's module is imported, so `greenroom --help` needs nothing but this file.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

COMMANDS = {
    "solve": "solve a task in a checkout: act, test, reflect, prove",
    "resume": "go on with a run from its last complete turn",
    "check": "build the image and run the tests, without a model",
    "verify": "prove a patch in a clean room, whoever made it",
    "bench": "run a suite of tasks, many at a time",
    "ci": "the bot: from an issue or a red build to a proved pull request",
    "init": "write a commented greenroom.toml from what is found",
    "config": "show every setting and where it came from",
    "trust": "trust this checkout's settings file as it is now",
    "doctor": "try on this machine what a sandbox must hold",
    "image": "build, list and remove the images of sandboxes",
    "models": "show the models that are at hand",
    "plan": "say what a model needs of memory, what fits, how to serve it",
    "runs": "list the runs on this machine",
    "show": "print a run",
    "shell": "open a shell in a fresh sandbox of a run's state",
    "prune": "remove what killed processes left; old runs and images",
}
_BOT = {
    "github": "answer an event of GitHub, in a job of its Actions",
    "gitlab": "answer an event of GitLab, in a job of its CI",
    "local": "do here what the bot does with an issue, and talk to no forge",
    "init": "write what sets the bot up, and explain each permission in it",
    "doctor": "look at how the bot is set up, and say what to click",
}
#: Commands with further commands of their own. Where none is named, the one that is meant; the
#: bot's are shown then.
GROUPS = {
    "bench": ("run", "verify", "rescore", "report", "compare", "validate", "new"),
    "ci": tuple(_BOT),
}
MEANT = {"bench": "run"}
_EPILOG = """\
`greenroom COMMAND --help` says more of each.

exit codes: 0 solved, or nothing to do; 1 not solved; 2 usage; 3 environment;
            130 and 143 on signals\
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    _open_standard_streams()
    try:
        return _main(arguments)
    except KeyboardInterrupt:  # while modules are still being loaded
        return 130


def _open_standard_streams() -> None:
    """Gives a stream that was closed for us (`<&-`, `>&-`) an end that holds and takes nothing."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _main(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in {"-h", "--help", "help"}:
        return _print_help(0 if words else 2)
    if words[0] in {"-V", "--version"}:
        from importlib.metadata import version  # noqa: PLC0415 - only this flag pays for it

        print(f"greenroom {version('greenroom')}")
        return 0
    _check_origin()
    if words[0] not in COMMANDS:
        if words[0].startswith("-"):
            print(f"greenroom: {words[0]!r} stands before the command", file=sys.stderr)
            print(f"  Flags come after it: greenroom COMMAND {words[0]!r} ...", file=sys.stderr)
            return 2
        print(f"greenroom: unknown command {words[0]!r}{_nearest(words[0])}", file=sys.stderr)
        print("  `greenroom --help` lists the commands.", file=sys.stderr)
        return 2
    if words[0] == "ci" and (not words[1:] or words[1] not in _BOT):
        return _print_bot(words[1:])
    from agent.cli.command import execute  # noqa: PLC0415 - help must not pay for it

    place = _place(words)
    typed = [word for word, named in zip(words, place, strict=False) if word == named]
    module = importlib.import_module(".".join(["agent.cli", *place]))
    return execute(module, " ".join(typed), words[len(typed) :])


def _place(words: Sequence[str]) -> list[str]:
    """Where a command's module is: its name, in a group followed by that of the command there."""
    name, *rest = words
    if name not in GROUPS:
        return [name]
    return [name, rest[0] if rest and rest[0] in GROUPS[name] else MEANT[name]]


def _print_bot(rest: Sequence[str]) -> int:
    """The bot's commands, where they were asked for; else what is wrong with the one given."""
    if not rest or rest[0] in {"-h", "--help", "help"}:
        print(f"usage: greenroom ci COMMAND [...]\n\n{COMMANDS['ci']}\n\ncommands:")
        print("\n".join(_lines(_BOT)))
        print("\n`greenroom ci COMMAND --help` says more of each.")
        return 0 if rest else 2
    print(f"greenroom: unknown command 'ci {rest[0]}'{_nearest(rest[0], _BOT)}", file=sys.stderr)
    print("  `greenroom ci --help` lists the commands.", file=sys.stderr)
    return 2


def _print_help(code: int) -> int:
    try:
        print(_help(), flush=True)
    except BrokenPipeError:  # `greenroom --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _help() -> str:
    lines = _lines(COMMANDS)
    what = "A model repairs a repository in a sandbox; a clean room proves it."
    head = f"usage: greenroom COMMAND [...]\n\n{what}\n"
    return "\n".join([head, "commands:", *lines, "", _EPILOG])


def _lines(commands: Mapping[str, str]) -> list[str]:
    width = max(map(len, commands))
    return [f"  {name.ljust(width)}  {what}" for name, what in commands.items()]


def _nearest(word: str, commands: Iterable[str] = COMMANDS) -> str:
    import difflib  # noqa: PLC0415 - help must not pay for it

    close = difflib.get_close_matches(word, list(commands), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _check_origin() -> None:
    """Refuses to run on packages that a hostile checkout slipped in front of ours.

    Our packages have common names; started as `python -m` in a checkout, Python would import that
    checkout's own. All four must come from the place that this file comes from.
    """
    home = Path(__file__).resolve().parents[2]
    for name in ("agent", "sandbox", "tasks", "tools"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parents[1] != home:
            print(
                f"greenroom: the package {name!r} comes from {origin}, not from {home}\n"
                "  Start the console script `greenroom`, outside of any folder on PYTHONPATH.",
                file=sys.stderr,
            )
            raise SystemExit(3)
