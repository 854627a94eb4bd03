"""The table `[ci]` as it is first written into a settings file: every key, commented out."""

from collections.abc import Mapping
from dataclasses import fields

from agent.bot.config import Config

#: What each key is for, in a line.
HELP: Mapping[str, str] = {
    "label": "the label that asks for a first attempt",
    "allowed": "accounts that may ask without the right to push",
    "bots": "bots that may ask, if they may push; no other bot is listened to",
    "pull_request": "draft, ready, or link: a comment with a link that opens one",
    "require": "the weakest grade that is published: proved, reproduced, regression-only",
    "red_builds": "failed builds that are taken up: none, default-branch, all",
    "allow": "globs of files that a patch may change although they are none of its business",
    "max_files": "files that a patch may touch",
    "max_lines": "lines that a patch may change",
    "repository_limit": "requests within 24 hours",
    "author_limit": "requests of one account within 24 hours",
    "labels": "labels of a pull request that is opened",
    "reviewers": "whom to ask for a review: none, codeowners",
    "fork": "the repository the bot's branches go to where it may not push to this one",
    "public_report": "reasoning in the report of a public repository: redacted, full",
}
_HEAD = """\
# What the bot may do. It counts as it stands on the default branch, and no pull request of the bot
# may change it. A commented line shows the default.
"""


def text(header: str, values: Mapping[str, str] | None = None) -> str:
    """The table below `[header]`, with those values set and every other key as a comment."""
    lines = [f"{_HEAD}[{header}]"]
    for field in fields(Config):
        lines.append(f"# {HELP[field.name]}")
        if values and field.name in values:
            lines.append(f"{field.name} = {_toml(values[field.name])}")
        else:
            lines.append(f"# {field.name} = {_toml(field.default)}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
