"""What a maintainer lets the bot do: the table `[ci]` of the settings file on the default branch.

No event and no other branch can change it. Settings of a run (model, limits, image) stand beside it
in the same file and mean what they mean everywhere.
"""

import difflib
import tomllib
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from agent.settingsfile import BOT, OWN, PROJECT
from sandbox.errors import UsageError


@dataclass(frozen=True)
class Config:
    """Names are those of the table; the comment of a field says what it is."""

    #: The label that asks for a first attempt.
    label: str = "greenroom"
    #: Accounts that may ask without the right to push.
    allowed: tuple[str, ...] = ()
    #: Bots that may ask, if they may push; no other bot is listened to.
    bots: tuple[str, ...] = ()
    #: What a proved patch becomes: a draft, a pull request ready for review, or a comment with a
    #: link that opens one.
    pull_request: Literal["draft", "ready", "link"] = "draft"
    #: The weakest grade of a verdict that becomes a pull request.
    require: Literal["proved", "reproduced", "regression-only"] = "regression-only"
    #: Which failed builds are taken up without being asked for.
    red_builds: Literal["none", "default-branch", "all"] = "default-branch"
    #: Globs of files that a patch may change although they are none of the bot's business.
    allow: tuple[str, ...] = ()
    max_files: int = 20
    max_lines: int = 1000
    #: Requests within 24 hours.
    repository_limit: int = 20
    author_limit: int = 5
    #: Labels of a pull request that is opened.
    labels: tuple[str, ...] = ()
    #: Whom to ask for a review.
    reviewers: Literal["none", "codeowners"] = "none"
    #: The repository that the bot's branches go to where it may not push to this one.
    fork: str = ""
    #: Show the model's reasoning and conversation in the report of a public repository.
    public_report: Literal["redacted", "full"] = "redacted"


def read(own: bytes | None, project: bytes | None) -> Config:
    """The configuration in the contents of `greenroom.toml` and `pyproject.toml`, the defaults
    where there is none. Raises UsageError naming the key, what was expected and what came."""
    for content, label, path in ((own, OWN, ()), (project, PROJECT, ("tool", "greenroom"))):
        table: Any = _toml(content, label)
        for name in (*path, BOT):
            table = table.get(name, {}) if isinstance(table, dict) else {}
        if not isinstance(table, dict):
            raise UsageError(f"{label}: {BOT}: expected a table, got {table!r:.60}")
        if table:
            return _config(table, label)
    return Config()


def _toml(content: bytes | None, label: str) -> dict[str, Any]:
    try:
        return tomllib.loads((content or b"").decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"{label} on the default branch is not valid TOML: {problem}") from None


def _config(table: dict[str, Any], label: str) -> Config:
    hints = get_type_hints(Config)
    known = [field.name for field in fields(Config)]
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
            raise UsageError(f"{label} [{BOT}]: unknown key {name!r}", hint)
        values[name] = _value(f"{label} [{BOT}] {name}", hints[name], value)
    return Config(**values)


def _value(where: str, hint: Any, value: Any) -> Any:
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            expected = ", ".join(map(repr, get_args(hint)))
            raise UsageError(f"{where}: expected one of {expected}, got {value!r:.60}")
        return value
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{where}: expected a whole number from 1, got {value!r:.60}")
        return value
    if hint is str:
        if not isinstance(value, str):
            raise UsageError(f"{where}: expected a text, got {value!r:.60}")
        return value
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{where}: expected a list of texts, got {value!r:.60}")
    return tuple(value)
