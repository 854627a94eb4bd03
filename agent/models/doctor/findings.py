"""What an examination of a model found, for `greenroom doctor --model`."""

from dataclasses import dataclass
from typing import Literal

#: `good` is as it should be, `note` costs something, `bad` stands in the way of work; `untold`: it
#: could not be seen.
State = Literal["good", "note", "bad", "untold"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found, what that costs, and what to do."""

    name: str
    state: State
    found: str
    costs: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Examination:
    """All findings on a model, and how many requests it was sent for them."""

    name: str
    address: str
    server: str
    server_version: str
    context_window: int | None
    findings: tuple[Finding, ...]
    requests: int = 0

    @property
    def usable(self) -> bool:
        return all(finding.state != "bad" for finding in self.findings)
