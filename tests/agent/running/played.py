"""An engine without a machine, and somebody who looks on, for the tests of the runner."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from agent.bench import record
from agent.bench.job import End, Job, Paused
from agent.bench.record import Result, ResultLog, Status
from agent.bench.runner import Runner
from agent.bench.tally import Tally

Answer = Callable[[Job, int], End]


def job(task: str, attempt: int = 1) -> Job:
    return Job("played", task, attempt, "model", f"/nowhere/{task}/{attempt}")


def jobs(many: int) -> list[Job]:
    return [job(f"t{number:05}") for number in range(many)]


def end(job: Job, status: Status = "solved", *, again: bool = False, **fields: object) -> End:
    return End(Result(job.task, job.attempt, status, **fields), again)  # type: ignore[arg-type]


class PlayedEngine:
    """Gives `answer(job, try)`, the tries counted from 1; between lies one turn of the loop, or as
    many as `steps`, before each of which a drained engine stops."""

    def __init__(self, answer: Answer = lambda job, _: end(job), *, steps: int = 1) -> None:
        self._answer = answer
        self._steps = steps
        self._drained = False
        self.tries: dict[tuple[str, int], int] = {}
        self.inside = self.most_inside = 0
        self.proving = 0
        self.allowed: list[int] = []
        self.expected: tuple[Job, ...] = ()

    async def attempt(self, job: Job) -> End:
        self.tries[job.key] = self.tries.get(job.key, 0) + 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            for _ in range(self._steps):
                if self._drained:
                    raise Paused
                await asyncio.sleep(0)
            return self._answer(job, self.tries[job.key])
        finally:
            self.inside -= 1

    def expect(self, jobs: tuple[Job, ...]) -> None:
        self.expected = jobs

    def allow(self, turns: int) -> None:
        self.allowed.append(turns)

    def drain(self) -> None:
        self._drained = True


class Onlooker:
    """Remembers what happened."""

    def __init__(self) -> None:
        self.happened: list[tuple[str, str]] = []
        self.at: Callable[[str, str], None] = lambda _what, _task: None

    def _note(self, what: str, task: str) -> None:
        self.happened.append((what, task))
        self.at(what, task)

    def started(self, job: Job) -> None:
        self._note("started", job.task)

    def retried(self, job: Job, reason: str, seconds: float) -> None:
        self._note("retried", job.task)

    def paused(self, job: Job) -> None:
        self._note("paused", job.task)

    def ended(self, result: Result) -> None:
        self._note("ended", result.task)

    def of(self, what: str) -> list[str]:
        return [task for kind, task in self.happened if kind == what]


def runner_of(
    folder: Path, engine: PlayedEngine, work: Iterable[Job], onlooker: Onlooker, **more: object
) -> Runner:
    log = ResultLog(folder / "results.jsonl")
    options = {"most": 4, "waits": (0.0, 0.0), **more}
    return Runner(engine, work, log, Tally(), onlooker, **options)  # type: ignore[arg-type]


def results(folder: Path) -> list[Result]:
    return list(record.read(folder / "results.jsonl"))
