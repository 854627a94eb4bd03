"""Whether an attempt gets anywhere: the best state so far, failures that come back, circles."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.conversation import ToolCall
from agent.reflection import signature
from tasks.task import TestReport

#: The same failure this often in a row, or this many circles, starts a new epoch.
_SAME_FAILURE = 5
_CIRCLES = 2
_SAME_CALL = 3
_RESTARTS = 2


@dataclass(frozen=True)
class Standing:
    """A state that was tested: its tree, its report, and its score (lower is better)."""

    tree: str
    report: TestReport
    score: tuple[int, int]


@dataclass(frozen=True)
class Advice:
    """What to do about the way the work goes; `what` names it for the model and the user."""

    step: Literal["go on", "tell", "restart", "stop"]
    what: str = ""
    repeats: int = 1


class Progress:
    """Follows the tested states of one attempt."""

    def __init__(self, baseline: TestReport, tree: str) -> None:
        self._baseline = frozenset(baseline.failing)
        self._broken_before = bool(baseline.errors) or not baseline.results
        self.best = Standing(tree, baseline, self._score(baseline))
        self._last_signature = signature(baseline)
        self._repeats = 1
        self._last_tree = tree
        self._trees = {tree}
        self._circles = 0
        self._restarts = 0
        self._calls: Counter[tuple[str, str]] = Counter()

    def _score(self, report: TestReport) -> tuple[int, int]:
        """Worse than any count of failures is a run whose tests could not be run at all."""
        if report.errors or not report.results:
            return (1_000_000, len(report.errors))
        new = sum(1 for id in report.failing if id not in self._baseline)
        return (len(report.failing) + new, new)

    def tested(self, report: TestReport, tree: str) -> Advice:
        """Takes the report on the state `tree` and says how to go on."""
        standing = Standing(tree, report, self._score(report))
        if standing.score < self.best.score:
            self.best = standing
        now = signature(report)
        self._repeats = self._repeats + 1 if now == self._last_signature else 1
        self._last_signature = now
        what = ""
        if tree != self._last_tree and tree in self._trees:
            self._circles += 1
            what = "your last change brought back a state that was tested before"
        self._trees.add(tree)
        self._last_tree = tree
        if self._repeats >= _SAME_FAILURE:
            what = f"the same tests failed in the same way {self._repeats} times in a row"
            return self._restart(what)
        return self._circled(what)

    def called(self, calls: Sequence[ToolCall]) -> Advice:
        """Takes the calls of a turn; the very same call again and again is a circle, too."""
        for call in calls:
            self._calls[call.name, call.arguments] += 1
            if self._calls[call.name, call.arguments] >= _SAME_CALL:
                self._calls.clear()
                self._circles += 1
                return self._circled(
                    f"you called {call.name} {_SAME_CALL} times with the same arguments"
                )
        return Advice("go on")

    def changed(self) -> None:
        """The workspace changed: the same call may now have another result."""
        self._calls.clear()

    def _circled(self, what: str) -> Advice:
        if not what:
            return Advice("go on", repeats=self._repeats)
        if self._circles >= _CIRCLES:
            return self._restart(what)
        return Advice("tell", what, self._repeats)

    def _restart(self, what: str) -> Advice:
        self._circles, self._repeats = 0, 1
        self._restarts += 1
        self._calls.clear()
        return Advice("restart" if self._restarts <= _RESTARTS else "stop", what)
