"""Tests that are worse than before, made certain: a flaky one is named and does not decide."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sandbox.patch import Patch
from tasks.rooms import Rooms, side_by_side
from tasks.task import TestReport

RERUNS = 2
# More than this many tests do not fail by chance: they are not run again.
MOST_FLAKY = 40
# A test that fails with the patch now and then, and never without it in as many runs, is worse for
# the patch when it fails so often: a test that was flaky before seldom looks like that.
COMPARED, TOO_MANY = 6, 3


@dataclass(frozen=True)
class Sifted:
    """`regressions` fail whenever they run, `together` pass alone and fail each time when all tests
    run, `unsteady` fail now and then with the patch and never without it, `flaky` are what else now
    passes and now fails."""

    regressions: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    unsteady: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()


async def sift(
    rooms: Rooms, tested: Patch, suspects: Sequence[str], baseline: TestReport
) -> Sifted:
    """Run tests that are worse than before again, in fresh rooms, on the patch and on the base.

    Raises as `Rooms.run` does.
    """
    if not suspects or len(suspects) > MOST_FLAKY:
        return Sifted(tuple(suspects))
    passes = await _passes(rooms, tested, suspects, "on the patch")
    failing = [id for id in suspects if not passes[id]]
    # What fails on the base as well, now and then, says nothing about the patch.
    before = [id for id in failing if id in baseline.passed]
    steady = await _passes(rooms, None, before, "on the base")
    alone = [id for id in suspects if passes[id] == RERUNS]
    together = await _failing_together(rooms, tested, alone)
    regressions = [id for id in failing if id not in before or steady[id] == RERUNS]
    certain = {*failing, *together}
    wavering = [id for id in suspects if id not in certain and id in baseline.passed]
    unsteady = await _unsteady(rooms, tested, wavering)
    certain = {*regressions, *together, *unsteady}
    return Sifted(
        tuple(regressions),
        tuple(together),
        tuple(unsteady),
        tuple(id for id in suspects if id not in certain),
    )


async def _passes(
    rooms: Rooms, patch: Patch | None, ids: Collection[str], where: str
) -> Counter[str]:
    """How often each test passes, of the reruns, each in a fresh room."""
    passes: Counter[str] = Counter()
    tests = f"{len(ids)} tests" if len(ids) != 1 else "1 test"
    for _ in range(RERUNS if ids else 0):
        run = await rooms.run(f"running {tests} again {where}", patch, only=list(ids))
        passes.update(id for id in ids if id in run.report.passed)
    return passes


async def _failing_together(rooms: Rooms, tested: Patch, ids: Collection[str]) -> list[str]:
    """Those that pass alone, but among all tests fail with the patch and pass without it."""
    if not ids:
        return []
    whole = await rooms.run("running all tests on the patch again", tested)
    failing = [id for id in ids if id not in whole.report.passed]
    if not failing:
        return []
    base = await rooms.run("running all tests on the base again")
    return [id for id in failing if id in base.report.passed]


async def _unsteady(rooms: Rooms, tested: Patch, ids: Collection[str]) -> list[str]:
    """Those that keep failing now and then with the patch, and never without it."""
    if not ids:
        return []
    told = "comparing tests that now pass and now fail"
    patched, base = await side_by_side(
        rooms.run(f"{told}, with the patch", tested, only=list(ids), repeat=COMPARED),
        rooms.run(f"{told}, without it", None, only=list(ids), repeat=COMPARED),
    )
    return [
        id
        for id in ids
        # One failure brought it here.
        if 1 + len(patched.reports) - patched.passes(id) >= TOO_MANY
        and base.passes(id) == len(base.reports)
    ]
