"""Looks at a run now and then, and lets as many attempts use the model as do it good."""

import asyncio
import time

from agent.bench.concurrency import FULL, Controller, Sample
from agent.bench.meter import Meter
from agent.bench.runner import Runner
from agent.models.base import Model, ServerLoad

LOOK = 2.0  # seconds between two looks
#: A step has to take effect before it is judged: for so many seconds, and by so many turns for each
#: attempt; or for so long, where turns are slow.
_LEAST, _MOST = 5.0, 120.0
_TURNS = 2


class Pacer:
    """Sets how many attempts of `runner` use `model`. `load` is what its server told last."""

    def __init__(self, controller: Controller, model: Model, meter: Meter, runner: Runner) -> None:
        self._controller = controller
        self._model = model
        self._meter = meter
        self._runner = runner
        self.load: ServerLoad | None = None
        self._since = time.monotonic()
        self._turns = self._written = 0
        self._full = True

    async def run(self) -> None:
        """Looks until it is cancelled."""
        self._runner.allow(self._controller.limit)
        while True:
            await asyncio.sleep(LOOK)
            self.load = await self._model.load()
            self._full = self._full and self._runner.full
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        load = self.load or ServerLoad()
        seconds, turns = now - self._since, self._meter.turns - self._turns
        pressing = bool(load.waiting) or (load.cache or 0.0) >= FULL
        seen = pressing or turns >= _TURNS * self._controller.limit or seconds >= _MOST
        if seconds < _LEAST or not seen:
            return
        rate = (self._meter.written - self._written) / seconds
        sample = Sample(rate, self._full, load.cache, load.waiting)
        self._runner.allow(self._controller.take(sample))
        self._since, self._full = now, True
        self._turns, self._written = self._meter.turns, self._meter.written
