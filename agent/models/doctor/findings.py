"""What an examination of a model found, for `greenroom doctor --model`."""

from dataclasses import dataclass
from typing import Literal

from agent.models.settings import LEAST_WINDOW, USEFUL_WINDOW

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


def window_of(window: int, most: int | None, advice: str = "") -> Finding:
    """What a context of `window` tokens is good for; `most` is what the model could have."""
    of_most = f" of the {most:,} that the model has" if most and most > window else ""
    found = f"{window:,} tokens{of_most}"
    state: State = "note" if window >= LEAST_WINDOW else "bad"
    if most is not None and window >= most:
        costs = "too small a model for any task" if state == "bad" else ""
        return Finding("context", "good" if state == "note" else state, found, costs)
    if window >= USEFUL_WINDOW:
        return Finding("context", "good", found)
    costs = "old tool output and turns are dropped early, and large files cannot be read"
    return Finding("context", state, found, costs, advice)


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
