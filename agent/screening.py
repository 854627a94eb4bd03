"""Several candidates for one turn, each tried from the same state; the tests pick one.

A candidate costs a reset of the sandbox (milliseconds), its own calls, and the tests that fail
now. Only one that makes more of those pass is tried on the whole suite. The winner is then taken as
a turn like any other, and what it leads to is proved like any other.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from agent.budget import Ledger
from agent.models.base import TurnDone
from agent.trajectory import Recorder
from agent.workbench import Workbench
from sandbox.patch import Patch
from tasks.task import TestReport
from tools.tool import Toolbox, ToolContext, ToolLimits

#: A candidate may take this many times as long as the failing tests take now, plus the seconds.
_SLOWER = 4.0
_GRACE = 3.0


@dataclass
class Screening:
    """The state that candidates are tried on. `report` is its test report, `tree` its tree."""

    bench: Workbench
    toolbox: Toolbox
    recorder: Recorder
    ledger: Ledger
    report: TestReport
    tree: str
    tried: int = 0

    def __post_init__(self) -> None:
        self._fewest: tuple[int, TurnDone | None] = (len(self.report.failing) or 1, None)

    async def screen(self, turns: AsyncGenerator[TurnDone, None]) -> TurnDone | None:
        """The turn to take: the first that turns everything green, else the one after which the
        fewest tests fail. None when none makes fewer fail than now.

        A turn that changes nothing (it only reads) is taken as it is. The sandbox is left in the
        state it was in before.
        """
        base = self.bench.task.base
        state = base.store.between(base.tree, self.tree)
        try:
            async with asyncio.timeout(self.ledger.seconds_left), aclosing(turns):
                best = await self._best(turns, state)
        except TimeoutError:
            if self.ledger.seconds_left > 0:
                raise
            best = self._fewest[1]
        await self.bench.box.reset(state)
        return best

    @property
    def in_vain(self) -> str:
        """Why no turn was found."""
        if self.tried:
            return f"none of {self.tried} candidates makes fewer tests fail"
        lacking = "; no test fails that would show it where to look" if self.report.green else ""
        return f"the model proposed no change{lacking}"

    async def _best(self, turns: AsyncGenerator[TurnDone, None], state: Patch) -> TurnDone | None:
        async for done in turns:
            self.ledger.add(done.usage)
            if not self._changes(done):
                return done
            self.tried += 1
            await self.bench.box.reset(state)
            failing = await self._try(done, self._fewest[0])
            self.recorder.emit(
                "candidate",
                turn=self.ledger.turns,
                number=self.tried,
                failing=failing,
                calls=[[call.name, call.arguments] for call in done.message.calls],
            )
            if failing is not None and failing < self._fewest[0]:
                self._fewest = (failing, done)
            if self._fewest[0] == 0 or self.ledger.exhausted():
                break
        return self._fewest[1]

    def _changes(self, done: TurnDone) -> bool:
        tools = [self.toolbox.find(call.name) for call in done.message.calls]
        return any(tool is not None and not tool.reads_only for tool in tools)

    async def _try(self, done: TurnDone, fewest: int) -> int | None:
        """How many tests fail with this candidate; None when it cannot be applied or told."""
        # A syntax error shows in the tests; asking the sandbox's Python first would cost more.
        limits = ToolLimits(check_syntax=False)
        context = ToolContext(self.bench.box, self.bench.task, limits)
        for call in done.message.calls:
            result = await self.toolbox.call(call.name, call.arguments, context)
            if not result.ok:
                return None
        target = self.report.failing or None
        timeout = self.report.seconds * _SLOWER + _GRACE
        report = await self.bench.probe(only=target, timeout=timeout)
        wrong = _wrong(report, target)
        if wrong is None or wrong >= fewest or target is None:
            return wrong
        whole = await self.bench.probe(only=None, timeout=timeout + self.report.seconds * _SLOWER)
        return _wrong(whole, None)


def _wrong(report: TestReport, wanted: tuple[str, ...] | None) -> int | None:
    """Failing tests of a report, those that did not run included; None for a run that broke."""
    if report.errors or not report.complete or not report.results:
        return None
    missing = sum(1 for id in wanted or () if id not in report.passed)
    return max(len(report.failing), missing)
