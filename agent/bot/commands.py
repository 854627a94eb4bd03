"""The commands of a comment: `/greenroom fix`, `/greenroom retry` and `/greenroom stop`.

Only the very first line of a comment is looked at, and only from its first character on. So what a
comment quotes, shows as code or hides can never be a command, and no Markdown has to be understood
to know it.
"""

import re
from dataclasses import dataclass
from typing import cast

from agent.bot.trigger import Action

USAGE = "/greenroom fix, /greenroom retry or /greenroom stop"
_COMMAND = re.compile(r"/greenroom[ \t]+(fix|retry|stop)(?![^ \t\r\n])[ \t]*")


@dataclass(frozen=True)
class Command:
    """What is asked for, and the words that came with it."""

    action: Action
    guidance: str


def read(comment: str) -> Command | None:
    """The command that a comment is, None for one that is none. What follows the command, in its
    line and in those below, is guidance."""
    found = _COMMAND.match(comment)
    if found is None:
        return None
    return Command(cast(Action, found[1]), comment[found.end() :].strip())
