import asyncio

import pytest

from agent.bench.gate import Gate
from agent.bench.job import Paused


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Visitors:
    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self._leaving: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        for name in names:
            self._leaving[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._visit(name))
        await settle()

    async def _visit(self, name: str) -> None:
        async with self.gate:
            self.inside.append(name)
            try:
                await self._leaving[name].wait()
            finally:
                self.inside.remove(name)

    async def leave(self, name: str) -> None:
        self._leaving[name].set()
        await settle()

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


async def test_as_many_are_in_as_may_in_the_order_in_which_they_came() -> None:
    visitors = Visitors(Gate(2))
    await visitors.come("a", "b", "c", "d")
    assert visitors.inside == ["a", "b"]
    assert visitors.gate.waiting == 2
    await visitors.leave("b")
    assert visitors.inside == ["a", "c"]
    await visitors.end()


async def test_a_higher_bound_lets_more_in_and_a_lower_one_puts_nobody_out() -> None:
    visitors = Visitors(Gate(1))
    await visitors.come("a", "b", "c", "d")
    visitors.gate.allow(3)
    await settle()
    assert visitors.inside == ["a", "b", "c"]
    visitors.gate.allow(1)
    await visitors.leave("a")
    assert visitors.inside == ["b", "c"]
    await visitors.leave("b")
    await visitors.leave("c")
    assert visitors.inside == ["d"]
    await visitors.end()


async def test_a_shut_gate_sends_away_who_waits_and_who_comes() -> None:
    visitors = Visitors(Gate(1))
    await visitors.come("a", "b")
    visitors.gate.shut()
    await visitors.come("c")
    assert visitors.inside == ["a"]
    for name in "bc":
        with pytest.raises(Paused):
            await visitors.tasks[name]
    await visitors.leave("a")
    assert visitors.gate.inside == 0


async def test_who_is_cancelled_while_waiting_or_when_just_let_in_takes_no_place() -> None:
    visitors = Visitors(Gate(1))
    await visitors.come("a", "b", "c", "d")
    visitors.tasks["b"].cancel()
    await settle()
    visitors._leaving["a"].set()
    await asyncio.sleep(0)  # `a` has left and let `c` in, who does not know it yet
    await asyncio.sleep(0)
    visitors.tasks["c"].cancel()
    await settle()
    assert visitors.inside == ["d"]
    await visitors.leave("d")
    assert visitors.gate.inside == 0
    assert visitors.gate.waiting == 0
