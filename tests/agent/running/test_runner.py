"""What starts when, what is tried again and what is logged, without any machine."""

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import pytest

from agent.bench.job import End, Job
from agent.bench.runner import HOPELESS, RunLimits
from sandbox.errors import InfrastructureError
from tests.agent.running.played import (
    Onlooker,
    PlayedEngine,
    end,
    job,
    jobs,
    results,
    runner_of,
)


async def test_every_job_has_one_result_and_no_more_run_at_a_time_than_may(tmp_path: Path) -> None:
    engine = PlayedEngine(steps=3)
    runner = runner_of(tmp_path, engine, jobs(50), Onlooker())
    await runner.run()
    assert Counter(result.key for result in results(tmp_path)) == Counter(
        job.key for job in jobs(50)
    )
    assert engine.most_inside == 4
    assert runner.tally.solved == 50


async def test_what_infrastructure_broke_off_is_tried_again_and_counted_apart(
    tmp_path: Path,
) -> None:
    def answer(job: Job, tries: int) -> End:
        if job.task == "t00001" and tries < 3:
            return end(job, "infrastructure failed", again=True)
        return end(job, "failed" if job.task == "t00002" else "solved")

    onlooker = Onlooker()
    runner = runner_of(tmp_path, PlayedEngine(answer), jobs(4), onlooker)
    await runner.run()
    found = {result.task: result for result in results(tmp_path)}
    assert found["t00001"].status == "solved"
    assert found["t00001"].retries == 2
    assert onlooker.of("retried") == ["t00001", "t00001"]
    assert (runner.tally.solved, runner.tally.unsolved, runner.tally.infrastructure) == (3, 1, 0)


async def test_a_job_that_never_gets_through_is_given_up_and_the_run_goes_on(
    tmp_path: Path,
) -> None:
    def answer(job: Job, _: int) -> End:
        bad = job.task == "t00001"
        return end(job, "infrastructure failed" if bad else "solved", again=bad)

    engine = PlayedEngine(answer)
    await runner_of(tmp_path, engine, jobs(6), Onlooker()).run()
    found = {result.task: result.status for result in results(tmp_path)}
    assert engine.tries["t00001", 1] == 3
    assert found["t00001"] == "infrastructure failed"
    assert list(found.values()).count("solved") == 5


async def test_where_nothing_works_the_run_stops_and_leaves_it_all_to_be_done(
    tmp_path: Path,
) -> None:
    engine = PlayedEngine(lambda job, _: end(job, "infrastructure failed", reason="no server"))
    runner = runner_of(tmp_path, engine, jobs(100), Onlooker())
    with pytest.raises(InfrastructureError, match="no server"):
        await runner.run()
    assert results(tmp_path) == []
    assert len(engine.tries) < HOPELESS + 4
    again = runner_of(tmp_path, PlayedEngine(), jobs(100), Onlooker())
    await again.run()
    assert len(results(tmp_path)) == 100


async def test_draining_starts_nothing_more_and_logs_nothing_unfinished(tmp_path: Path) -> None:
    engine, onlooker = PlayedEngine(steps=5), Onlooker()
    runner = runner_of(tmp_path, engine, jobs(50), onlooker)
    onlooker.at = lambda what, task: runner.drain() if (what, task) == ("ended", "t00003") else None
    await runner.run()
    started, ended = onlooker.of("started"), onlooker.of("ended")
    assert "t00003" in ended
    assert len(started) < 12
    assert sorted(ended + onlooker.of("paused")) == sorted(started)
    assert [result.task for result in results(tmp_path)] == ended


async def test_cancelling_stops_what_runs_and_keeps_the_results(tmp_path: Path) -> None:
    engine, onlooker = PlayedEngine(steps=10_000), Onlooker()
    runner = runner_of(tmp_path, engine, jobs(9), onlooker)
    work = asyncio.create_task(runner.run())
    while engine.inside < 4:
        await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert engine.inside == 0
    assert results(tmp_path) == []


@pytest.mark.parametrize(
    ("limits", "named"),
    [(RunLimits(tokens=500), "token limit"), (RunLimits(cost=5.0), "cost limit")],
)
async def test_a_run_ends_at_its_bound(tmp_path: Path, limits: RunLimits, named: str) -> None:
    usage = {"input_tokens": 90, "output_tokens": 10}
    engine = PlayedEngine(lambda job, _: end(job, usage=usage, cost=1.0))
    runner = runner_of(tmp_path, engine, jobs(50), Onlooker(), most=1, limits=limits)
    await runner.run()
    assert named in runner.limit
    assert len(results(tmp_path)) == 5


async def test_what_the_running_attempts_spent_counts_towards_the_bound(tmp_path: Path) -> None:
    spent = itertools.count(0, 100)
    runner = runner_of(
        tmp_path,
        PlayedEngine(steps=5),
        jobs(50),
        Onlooker(),
        limits=RunLimits(tokens=300),
        in_flight=lambda: (next(spent), 0.0),
    )
    await runner.run()
    assert "token limit" in runner.limit
    assert len(results(tmp_path)) < 50


async def test_a_run_that_has_spent_what_it_may_begins_nothing(tmp_path: Path) -> None:
    limits = RunLimits(tokens=300)
    engine = PlayedEngine()
    words = (tmp_path, engine, jobs(5), Onlooker())
    runner = runner_of(*words, limits=limits, in_flight=lambda: (300, 0.0))
    await runner.run()
    assert "token limit" in runner.limit
    assert results(tmp_path) == []


async def test_a_time_that_is_over_drains(tmp_path: Path) -> None:
    limits = RunLimits(seconds=0.0)
    runner = runner_of(tmp_path, PlayedEngine(steps=5), jobs(50), Onlooker(), limits=limits)
    await runner.run()
    assert "time limit" in runner.limit
    assert results(tmp_path) == []


async def test_fewer_may_use_the_model_and_those_being_judged_leave_their_place_to_others(
    tmp_path: Path,
) -> None:
    engine = PlayedEngine(steps=3)
    runner = runner_of(tmp_path, engine, jobs(20), Onlooker(), most=8)
    runner.allow(2)
    await runner.run()
    assert engine.allowed == [2]
    assert engine.most_inside == 2
    engine = PlayedEngine(steps=3)
    engine.proving = 3
    runner = runner_of(tmp_path, engine, jobs(20), Onlooker(), most=8)
    runner.allow(2)
    await runner.run()
    assert engine.most_inside == 5


async def test_the_engine_is_told_what_comes_next(tmp_path: Path) -> None:
    engine, onlooker = PlayedEngine(), Onlooker()
    expected: list[tuple[str, ...]] = []
    onlooker.at = lambda *_: expected.append(tuple(job.task for job in engine.expected[:2]))
    await runner_of(tmp_path, engine, jobs(5), onlooker, most=1).run()
    assert ("t00001", "t00002") in expected


async def test_a_fault_of_the_engine_itself_ends_the_run(tmp_path: Path) -> None:
    def answer(job: Job, _: int) -> End:
        raise RuntimeError("no such engine")

    with pytest.raises(RuntimeError, match="no such engine"):
        await runner_of(tmp_path, PlayedEngine(answer), [job("a")], Onlooker()).run()
