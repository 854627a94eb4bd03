"""What `greenroom ci doctor` finds: whatever the forge, one shape, and what both forges share."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from agent.bot import config
from agent.bot.config import Config
from agent.bot.forge import ForgeError
from agent.settingsfile import OWN, PROJECT
from sandbox.errors import UsageError

State = Literal["ok", "to do", "unknown"]
Read = Callable[[str], bytes | None]
#: Stands for any branch of the bot.
BRANCH = "greenroom/1-an-issue"
_USES = re.compile(r"^\s*(?:- )?uses:\s*([^\s#]+)", re.MULTILINE)
_COMMIT = re.compile(r"@(?:[0-9a-f]{40}|[0-9a-f]{64})$")
_MODEL = re.compile(r'^\s*(?:model|GREENROOM_MODEL):\s*"?([^"\s#]+)"?', re.MULTILINE)
_ADDRESS = re.compile(r'^\s*(?:base-url|GREENROOM_BASE_URL):\s*"?([^"\s#]+)"?', re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` is the click or the command where there is one."""

    name: str
    state: State
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Setup:
    """All findings on a repository, and which model its jobs name, empty where they name none."""

    repository: str
    findings: tuple[Finding, ...]
    model: str = ""
    base_url: str = ""


def looked(name: str, where: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What `look` finds. Where the forge lets the token not see it, that is unknown, and `where`
    says where a person can."""
    try:
        return list(look())
    except ForgeError as problem:
        if problem.status in (401, 403, 404):
            found = f"this token may not see it ({problem.status})"
            return [Finding(name, "unknown", found, where)]
        return [Finding(name, "unknown", problem.message, problem.hint)]


def configuration(read: Read) -> tuple[Finding, Config]:
    """What the bot's table on the default branch says; the defaults where it is none."""
    try:
        found = config.read(read(OWN), read(PROJECT))
    except UsageError as problem:
        advice = problem.hint or f"Mend {OWN} on the default branch."
        return Finding("configuration", "to do", problem.message, advice), Config()
    said = "the defaults" if found == Config() else f"as in {OWN} or {PROJECT}"
    return Finding("configuration", "ok", said), found


def pins(path: str, text: str) -> Finding:
    """Whether every action that a workflow uses is at a commit."""
    used = [use for use in _USES.findall(text) if not use.startswith("./")]
    loose = sorted({use for use in used if not _COMMIT.search(use)})
    if loose:
        advice = "Write the full id of the commit in the place of the tag or branch."
        return Finding("pins", "to do", f"{path}: not at a commit: {', '.join(loose)}", advice)
    return Finding("pins", "ok", f"{path}: all actions are at commits")


def model_of(text: str) -> tuple[str, str]:
    """The model and the address that the jobs in a file name."""
    model, address = _MODEL.search(text), _ADDRESS.search(text)
    return model[1] if model else "", address[1] if address else ""


def labels(wanted: Config, has: Callable[[str], bool], create: str) -> Iterator[Finding]:
    """Whether the labels are there that the configuration names."""
    for label in dict.fromkeys((wanted.label, *wanted.labels)):
        if has(label):
            yield Finding("labels", "ok", f"{label!r} is there")
        else:
            yield Finding("labels", "to do", f"there is no label {label!r}", create)
