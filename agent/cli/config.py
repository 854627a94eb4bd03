"""`greenroom config`: every setting, its value, and where it came from."""

import argparse
from collections.abc import Sequence

from agent import settings
from agent.cli.command import add_checkout
from agent.cli.console import Console
from agent.cli.text import size, table
from agent.keys import KEYS, Key, Value

DESCRIPTION = """\
Show every setting, its value and where it came from. Flags beat the environment (GREENROOM_*),
which beats the repository's greenroom.toml or [tool.greenroom], which beats your own
~/.config/greenroom/config.toml.\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_checkout(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document")


def main(options: argparse.Namespace, console: Console) -> int:
    found = settings.load(settings.top_of(options.checkout), {})
    hidden = settings.secrets(found)
    if options.json:
        console.document(
            {
                name: {
                    "value": _masked(found[name], hidden),
                    "source": found.sources[name],
                    "help": key.help,
                }
                for name, key in KEYS.items()
            }
        )
        return 0
    rows = [("SETTING", "VALUE", "FROM", "")]
    for name, key in KEYS.items():
        rows.append(
            (name, _shown(key, _masked(found[name], hidden)), found.sources[name], key.help)
        )
    for row in table(rows).splitlines():
        console.say(row)
    if found.ignored:
        asked = ", ".join(found.ignored)
        console.say(
            f"{found.repository_file} is not trusted (see `greenroom trust`), so not set: {asked}",
            "yellow",
        )
    return 0


def _masked(value: Value, hidden: Sequence[str]) -> Value:
    for secret in hidden:
        value = value.replace(secret, "***") if isinstance(value, str) else value
    return value


def _shown(key: Key, value: Value) -> str:
    if value is None or value == ():
        return "-"
    if key.kind == "size" and isinstance(value, int):
        return size(value)
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
