"""Runs the failing tests once more with a line trace, to tell which code is suspect."""

from collections.abc import Sequence

from agent.suspects import Suspect, rank
from agent.workbench import QUICK_ENOUGH, Workbench
from tasks.task import TestReport

#: A trace slows Python down several times, so no more than these tests are run with it.
_FAILING = 10
_PASSING = 60


async def suspects_of(bench: Workbench, report: TestReport) -> Sequence[Suspect]:
    """The suspects of a report's failures; none where the tests are slow or cannot be traced."""
    if not report.failing or report.seconds > QUICK_ENOUGH:
        return ()
    traced = await bench.trace([*report.failing[:_FAILING], *report.passed[:_PASSING]])
    return rank(traced)
