"""Several candidates for one turn, each tried from the same state; the tests pick one.

A candidate costs a reset of a sandbox (milliseconds), its own calls, and the tests that fail now.
Only one that makes more of those pass is tried on the whole suite. As many are tried at a time as
there are sandboxes for it; which one is taken does not depend on that. The winner is then a turn
like any other, and what it leads to is proved like any other.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from agent.budget import Ledger
from agent.models.base import TurnDone
from agent.trajectory import Recorder
from agent.workbench import Workbench
from sandbox.container import Sandbox
from sandbox.patch import Patch
from tasks.task import TestReport
from tools.tool import Toolbox, ToolContext, ToolLimits

#: A candidate may take this many times as long as the failing tests take now, plus the seconds.
_SLOWER = 4.0
_GRACE = 3.0


@dataclass(frozen=True)
class _Tried:
    """A candidate and how many tests fail with it; None where it cannot be used."""

    number: int
    done: TurnDone
    failing: int | None


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
        self._free: asyncio.Queue[Sandbox] = asyncio.Queue()
        self._running: deque[asyncio.Task[_Tried]] = deque()
        self._won = False

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
        finally:
            await self._stop()
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
            if not self.tried:
                for box in await self.bench.screening_boxes():
                    self._free.put_nowait(box)
            self.tried += 1
            box = await self._free.get()
            trying = self._try(self.tried, done, box, state)
            self._running.append(asyncio.create_task(trying))
            while self._running and self._running[0].done():
                self._take(await self._running.popleft())
            if self._won or self.ledger.exhausted():
                break
        # In their order: of two that turn everything green, the earlier one is meant.
        while self._running and self._fewest[0]:
            self._take(await self._running.popleft())
        return self._fewest[1]

    def _take(self, tried: _Tried) -> None:
        self.recorder.emit(
            "candidate",
            turn=self.ledger.turns,
            number=tried.number,
            failing=tried.failing,
            calls=[[call.name, call.arguments] for call in tried.done.message.calls],
        )
        if tried.failing is not None and tried.failing < self._fewest[0]:
            self._fewest = (tried.failing, tried.done)

    async def _stop(self) -> None:
        """Ends what is still being tried, so that its sandbox can be used again."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _changes(self, done: TurnDone) -> bool:
        tools = [self.toolbox.find(call.name) for call in done.message.calls]
        return any(tool is not None and not tool.reads_only for tool in tools)

    async def _try(self, number: int, done: TurnDone, box: Sandbox, state: Patch) -> _Tried:
        try:
            await box.reset(state)
            failing = await self._failing(done, box)
        finally:
            self._free.put_nowait(box)
        self._won = self._won or failing == 0
        return _Tried(number, done, failing)

    async def _failing(self, done: TurnDone, box: Sandbox) -> int | None:
        """How many tests fail with this candidate; None when it cannot be applied or told."""
        # A syntax error shows in the tests; asking the sandbox's Python first would cost more.
        context = ToolContext(box, self.bench.task, ToolLimits(check_syntax=False))
        for call in done.message.calls:
            result = await self.toolbox.call(call.name, call.arguments, context)
            if not result.ok:
                return None
        target = self.report.failing or None
        timeout = self.report.seconds * _SLOWER + _GRACE
        report = await self.bench.probe(box, only=target, timeout=timeout)
        wrong = _wrong(report, target)
        if wrong is None or wrong >= self._fewest[0] or target is None:
            return wrong
        timeout += self.report.seconds * _SLOWER
        return _wrong(await self.bench.probe(box, only=None, timeout=timeout), None)


def _wrong(report: TestReport, wanted: tuple[str, ...] | None) -> int | None:
    """Failing tests of a report, those that did not run included; None for a run that broke."""
    if report.errors or not report.complete or not report.results:
        return None
    missing = sum(1 for id in wanted or () if id not in report.passed)
    return max(len(report.failing), missing)
