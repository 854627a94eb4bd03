"""How an attempt ended."""

from dataclasses import dataclass, field
from typing import Any, Literal

from agent.models.base import MalformedKind
from sandbox.patch import Patch
from tasks.task import Grade, TestReport, Verdict

Status = Literal["solved", "nothing to do", "not solved"]


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt. `reason` says why in a sentence; `tree` is its last or proved state.

    `verdict` is the last one given, None when no patch got as far as a clean room. `limit` names
    the bound that was reached (turn, token, time, cost), without which it cannot go on. `seconds`,
    `usage`, `cost` (US dollars, None where unknown) and `malformed` (turns that could not be used,
    by kind) are of the whole attempt, resumed parts included.
    """

    status: Status
    reason: str
    patch: Patch
    tree: str
    turns: int
    usage: dict[str, Any]
    seconds: float
    cost: float | None
    baseline: TestReport
    report: TestReport
    verdict: Verdict | None = None
    limit: str = ""
    malformed: dict[MalformedKind, int] = field(default_factory=dict)

    @property
    def grade(self) -> Grade | None:
        """The grade of what was solved."""
        return self.verdict.grade if self.verdict and self.status == "solved" else None

    def event(self) -> dict[str, Any]:
        """The fields of the trajectory's last event."""
        names = (
            "status",
            "reason",
            "turns",
            "usage",
            "seconds",
            "cost",
            "tree",
            "grade",
            "malformed",
            "limit",
        )
        return {name: getattr(self, name) for name in names}
