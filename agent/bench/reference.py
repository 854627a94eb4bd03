"""What a suite is worth without any model: the bases of its tasks must not pass, and the solutions
that are scripts must."""

import time
from collections.abc import Callable
from dataclasses import replace

from sandbox.egress.record import NetworkRequest
from sandbox.errors import InfrastructureError
from sandbox.image import Image
from sandbox.pool import Pool
from tasks.rooms import Rooms, last_words
from tasks.suites.suite import Script
from tasks.system.judge import judge
from tasks.system.work import open_work, run_script
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


async def judge_system(
    task: Task,
    image: Image,
    verifier_image: Image | None,
    script: Script | None,
    *,
    ca_bundle: bytes | None = None,
    on_request: Callable[[NetworkRequest], None] | None = None,
) -> Verdict:
    """The verdict on a whole file system: as its image has it, or as the task's own solution leaves
    it. Raises as `Sandbox.open` does."""
    async with open_work(
        task, image, everywhere=True, ca_bundle=ca_bundle, on_request=on_request
    ) as work:
        ran = await run_script(work, task, script) if script else None
        verdict = await judge(task, work, verifier_image=verifier_image)
    if ran is None or ran.ok or verdict.solved:
        return verdict
    ended = f"status {ran.exit_code}" if ran.exit_code is not None else ran.reason
    told = f"The solution ended with {ended}: {last_words(ran)}"
    return replace(verdict, reasons=(*verdict.reasons, told))
