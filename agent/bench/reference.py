"""What a suite is worth without any patch: the bases of its tasks must not pass."""

import time

from sandbox.errors import InfrastructureError
from sandbox.image import Image
from sandbox.pool import Pool
from tasks.rooms import Rooms
from tasks.task import Task, Verdict


async def judge_base(task: Task, image: Image, pool: Pool) -> Verdict:
    """The verdict on a task's base as it is: `solved` where its tests pass already, so that nothing
    is to be done. Raises as `verify` does."""
    started = time.monotonic()
    try:
        rooms = Rooms(task, image, None, None, pool)
        run = await rooms.run("running the tests on the base", task.checks.hidden)
    except InfrastructureError as error:
        reasons = (f"The clean room broke down: {error.message}", error.hint)
        return Verdict("infrastructure failed", reasons, cause=error.cause)
    report = run.report
    wanted = task.checks.expected
    lacking = set(wanted) - set(report.passed)
    passes = not lacking if wanted else report.green
    reason = "Its base passes the tests: nothing is to be done."
    if not passes:
        many = f"{len(lacking)} of {len(wanted)} expected tests" if wanted else "The tests"
        reason = f"{many} do not pass on the base."
    return Verdict(
        "solved" if passes else "failed",
        (reason,),
        report=report,
        seconds=time.monotonic() - started,
    )
