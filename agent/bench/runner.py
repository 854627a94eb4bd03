"""All attempts of a run, side by side: what starts when, what is tried again, what is logged.

A job is in one place only: still to come, at work, or waiting to be tried again. Its result is
logged once, when it is final; a process that is killed loses none of them and doubles none, since
what has no result is what a resume begins with.
"""

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from agent.bench.job import End, Engine, Job, Paused
from agent.bench.record import Result, ResultLog
from agent.bench.tally import Tally
from sandbox.errors import InfrastructureError

#: How many jobs ahead an engine is told of.
AHEAD = 16
#: Seconds before a job that infrastructure broke off is tried again, growing; then it is given up.
WAITS = (2.0, 15.0, 60.0)
#: So many jobs given up in a row, with nothing else done between, mean that nothing works here.
HOPELESS = 5


class Watcher(Protocol):
    """Is told what happens to a run."""

    def started(self, job: Job) -> None: ...

    def retried(self, job: Job, reason: str, seconds: float) -> None:
        """The job is tried again after so many seconds."""

    def paused(self, job: Job) -> None:
        """It was broken off between two turns; its result is still to come."""

    def ended(self, result: Result) -> None: ...


@dataclass(frozen=True)
class RunLimits:
    """Bounds of a whole run: seconds of this process, tokens and US dollars of all its results
    (None: none)."""

    seconds: float | None = None
    tokens: int | None = None
    cost: float | None = None


class Runner:
    """Does jobs with an engine and logs their results."""

    def __init__(
        self,
        engine: Engine,
        jobs: Iterable[Job],
        log: ResultLog,
        tally: Tally,
        watcher: Watcher,
        *,
        most: int,
        limits: RunLimits | None = None,
        waits: tuple[float, ...] | None = None,
        in_flight: Callable[[], tuple[int, float]] = lambda: (0, 0.0),
    ) -> None:
        """`jobs` are those without a result, `tally` counts the results that there are; at most
        `most` jobs are at work. `in_flight` tells the tokens and the US dollars of the attempts
        that have not ended."""
        self._engine = engine
        self._jobs = iter(jobs)
        self._log = log
        self.tally = tally
        self._watcher = watcher
        self._most = self._turns = most
        self._limits = limits or RunLimits()
        self._waits = WAITS if waits is None else waits
        self._in_flight = in_flight
        self._coming: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._tries: dict[tuple[str, int], int] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._began = time.monotonic()
        self._given_up: list[Result] = []
        self._error: BaseException | None = None
        self.draining = False
        #: Which bound of the run was reached, in words.
        self.limit = ""

    @property
    def running(self) -> int:
        return len(self._working)

    @property
    def full(self) -> bool:
        """Whether as many are at work as may be."""
        return self.running >= self._room()

    @property
    def allowed(self) -> int:
        """How many attempts may use the model at a time."""
        return self._turns

    def allow(self, turns: int) -> None:
        """Bounds how many attempts use the model at a time."""
        self._turns = turns
        self._engine.allow(turns)
        self._changed.set()

    def look(self) -> None:
        """Has the bounds of the run looked at, for an attempt has spent something."""
        self._changed.set()

    def drain(self) -> None:
        """Starts nothing any more; what runs stops before its next turn."""
        self.draining = True
        self._engine.drain()
        self._changed.set()

    async def run(self) -> None:
        """Works until every job has a result, or the run is drained.

        Raises GreenroomError when nothing works here any more; what has no result then can be gone
        on with.
        """
        self._check_limits()
        try:
            while self._start() or self._working or (self._later and not self.draining):
                self._changed.clear()
                await self._wait()
                self._check_limits()
                if self._error:
                    raise self._error
            self._log_given_up()
        finally:
            for task in self._working:
                task.cancel()
            await asyncio.gather(*self._working, return_exceptions=True)
            self._log.close()

    def _start(self) -> bool:
        """Starts what there is room for; whether something waits to be started."""
        while not self.draining and self.running < self._room():
            job = self._next()
            if job is None:
                return False
            self._watcher.started(job)
            task = asyncio.create_task(self._do(job))
            self._working.add(task)
            task.add_done_callback(self._finished)
            self._engine.expect(tuple(self._coming))
        return not self.draining and bool(self._coming)

    def _room(self) -> int:
        """Who is being judged needs no turn of the model, so others may have it."""
        return min(self._most, self._turns + self._engine.proving)

    def _next(self) -> Job | None:
        if self._later and self._later[0][0] <= time.monotonic():
            return heapq.heappop(self._later)[2]
        wanted = AHEAD + 1 - len(self._coming)
        self._coming.extend(itertools.islice(self._jobs, wanted))
        return self._coming.popleft() if self._coming else None

    async def _wait(self) -> None:
        """Until something changed, or it is time for another try or for a look at the clock."""
        moments = [self._later[0][0]] if self._later else []
        if self._limits.seconds is not None and not self.draining:
            moments.append(self._began + self._limits.seconds)
        timeout = max(0.0, min(moments) - time.monotonic()) if moments else None
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._working.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
        self._changed.set()

    async def _do(self, job: Job) -> None:
        try:
            end = await self._engine.attempt(job)
        except Paused:
            self._watcher.paused(job)
            return
        tries = self._tries.pop(job.key, 0)
        if end.again and tries < len(self._waits):
            self._tries[job.key] = tries + 1
            wait = self._waits[tries]
            heapq.heappush(self._later, (time.monotonic() + wait, next(self._numbers), job))
            self._watcher.retried(job, end.result.reason, wait)
            return
        self._record(end, tries)

    def _record(self, end: End, tries: int) -> None:
        result = replace(end.result, retries=max(end.result.retries, tries))
        if result.status != "infrastructure failed":
            self._log_given_up()
            self._log_result(result)
            return
        # Not logged before something else succeeds: where nothing does, all are to be done again.
        self._given_up.append(result)
        if len(self._given_up) >= HOPELESS:
            raise InfrastructureError(
                f"{len(self._given_up)} attempts in a row failed for reasons of infrastructure,"
                f" the last one: {result.reason}",
                "Mend that and give the same command again: it goes on with what has no result.",
            )

    def _log_given_up(self) -> None:
        while self._given_up:
            self._log_result(self._given_up.pop(0))

    def _log_result(self, result: Result) -> None:
        self._log.append(result)
        self.tally.add(result)
        self._watcher.ended(result)

    def _check_limits(self) -> None:
        limits = self._limits
        if self.draining:
            return
        tokens, cost = self._in_flight()
        spent = (self.tally.cost or 0.0) + cost
        if limits.seconds is not None and time.monotonic() - self._began >= limits.seconds:
            self.limit = f"time limit of the run reached: {limits.seconds:g} s"
        elif limits.tokens is not None and self.tally.tokens + tokens >= limits.tokens:
            self.limit = f"token limit of the run reached: {limits.tokens:,}"
        elif limits.cost is not None and spent >= limits.cost:
            self.limit = f"cost limit of the run reached: ${limits.cost:g}"
        if self.limit:
            self.drain()
