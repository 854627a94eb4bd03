"""The forge and the repository that a checkout's remote names."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.discovery import find_checkout

_URL = re.compile(r"(?:https?|ssh|git)://(?:[^/@]*@)?([^/:]+)(?::\d+)?/(.+?)(?:\.git)?/?")
_SHORT = re.compile(r"(?:[^/@:]+@)?([^/:]+):(?!//)(.+?)(?:\.git)?/?")


@dataclass(frozen=True)
class Remote:
    """A host, and the path of the repository there, such as `group/project`."""

    host: str
    path: str

    @property
    def forge(self) -> Literal["github", "gitlab"] | None:
        """Which forge answers there, None where the name of the host does not tell."""
        for name in ("github", "gitlab"):
            if name in self.host.lower():
                return name
        return None


def parse(url: str) -> Remote | None:
    """What a remote's address names, None for one of this machine."""
    found = _URL.fullmatch(url.strip()) or _SHORT.fullmatch(url.strip())
    return Remote(found[1], found[2].lstrip("/")) if found else None


def of_checkout(folder: Path) -> Remote | None:
    """What the remote `origin` of a checkout names. Raises UsageError without a checkout."""
    git = find_checkout(folder).git
    said = git.run("config", "--get", "remote.origin.url", check=False)
    return parse(said.stdout.decode("utf-8", "replace"))
