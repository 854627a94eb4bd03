import asyncio

from agent.budget import Ledger, Limits
from agent.gates import OPEN, Gates


async def test_what_an_attempt_waits_for_others_is_not_its_time() -> None:
    ledger, busy = Ledger(Limits(seconds=100.0), None), asyncio.Lock()
    gates = Gates(model=busy)
    await busy.acquire()
    waited: list[float] = []

    def tell(seconds: float) -> None:
        waited.append(seconds)
        ledger.waited(seconds + 1000.0)

    async def turn() -> None:
        async with gates.turn(tell):
            assert busy.locked()

    going = asyncio.create_task(turn())
    await asyncio.sleep(0.01)
    assert not waited
    busy.release()
    await going
    assert waited[0] > 0
    assert ledger.seconds < -900
    assert not busy.locked()


async def test_an_attempt_by_itself_finds_the_gates_open() -> None:
    waited: list[float] = []
    async with OPEN.turn(waited.append), OPEN.proof(waited.append):
        assert len(waited) == 2
