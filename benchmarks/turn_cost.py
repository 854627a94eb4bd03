"""What the harness itself costs a turn: the whole loop against a server without latency.

Some workers solve at once in one process: each turn is a streamed answer with a call, one command
in the worker's sandbox, the look at what it changed, and the record. The server and the sandboxes
run beside it on the same cores. Run it from the checkout:

    python -m benchmarks.turn_cost [--workers 8] [--turns 60] [--deltas 20] [--profile FILE]
    python -m benchmarks.turn_cost --peer PYTHON    # mini-swe-agent's loop as that Python has it
"""

import argparse
import asyncio
import cProfile
import json
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from agent.budget import Limits, Plan
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from agent.solver import solve
from agent.trajectory import Recorder
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.task import Checks, Task
from tests.faults.server import FaultServer, Reply, Request, call, delta, sse, usage
from tools.tool import Toolbox
from tools.toolsets import toolset

#: A test that fails at once: an attempt needs one, and it is run before the first turn only.
FILES = {"test_it.py": "def test_it():\n    assert False\n"}


class Caller(FaultServer):
    """Each answer is a stream of `deltas` pieces and a call of another command."""

    def __init__(self, deltas: int) -> None:
        super().__init__()
        self._said = sse(delta(role="assistant"), *(delta(content="word ") for _ in range(deltas)))

    def _next(self, request: Request) -> Reply:
        if not request.path.endswith("/chat/completions"):
            return super()._next(request)
        self.requests.append(request)
        made = call("shell", {"command": f"echo {len(self.requests)}"})
        return Reply([self._said, sse(made, delta("tool_calls"), usage(1000, 30), "[DONE]")])


def serve(port: Connection, deltas: int) -> None:
    async def run() -> None:
        async with Caller(deltas) as server:
            port.send(server.base_url)
            await asyncio.sleep(3600)

    asyncio.run(run())


class Race:
    """Counts the turns from when every worker has begun its first until one begins its last."""

    def __init__(self, workers: int, turns: int) -> None:
        self._turns = turns
        self._begun = [0] * workers
        self._start: tuple[int, float, float] | None = None
        self.wall = self.cpu = 0.0

    def listener(self, worker: int) -> Callable[[Mapping[str, Any]], None]:
        def take(event: Mapping[str, Any]) -> None:
            if event["type"] == "turn.started":
                self._begun[worker] += 1
                self._look(self._begun[worker])

        return take

    def _look(self, turn: int) -> None:
        count, now, cpu = sum(self._begun), time.perf_counter(), time.process_time()
        if self._start is None and all(self._begun):
            self._start = count, now, cpu
        elif self._start is not None and turn == self._turns and not self.wall:
            before, then, cpu_then = self._start
            self.wall = 1000 * (now - then) / (count - before)
            self.cpu = 1000 * (cpu - cpu_then) / (count - before)


async def work(
    folder: Path, image: Image, address: str, turns: int, listener: Callable[..., None]
) -> None:
    store = TreeStore.create(folder / "trees.git")
    tree = store.add_tree((path, FILE, text.encode()) for path, text in FILES.items())
    checks = Checks("python3 -m pytest -q", "pytest")
    task = Task("t", "Go on.", Base(store, tree, ()), image.spec, checks, Policy())
    recorder = Recorder(folder / "trajectory.jsonl", listeners=[listener])
    model = open_model("openai:m", ModelSettings(base_url=address, protocol="chat"), {})
    toolbox = Toolbox(toolset("generic").tools)
    try:
        await solve(task, model, image, toolbox, recorder, Plan(Limits(turns=turns)))
    finally:
        recorder.close()
        await model.close()


async def measure(address: str, image: Image, workers: int, turns: int) -> Race:
    race = Race(workers, turns)
    with ExitStack() as folders:
        jobs = []
        for number in range(workers):
            folder = Path(folders.enter_context(tempfile.TemporaryDirectory()))
            jobs.append(work(folder, image, address, turns, race.listener(number)))
        await asyncio.gather(*jobs)
    return race


#: mini-swe-agent's loop with the same server and a command a turn, for the Python that has it.
PEER = """
import json, sys, threading, time
from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.docker import DockerEnvironment
from minisweagent.models.litellm_model import LitellmModel
address, image, workers, turns = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def work():
    box = DockerEnvironment(image=image)
    model = LitellmModel(
        model_name="openai/m", model_kwargs={"api_base": address, "api_key": "x"},
        cost_tracking="ignore_errors",
    )
    agent = DefaultAgent(model, box, system_template="s", instance_template="t", step_limit=turns)
    agent.run("Go on.")
begun = time.perf_counter()
threads = [threading.Thread(target=work) for _ in range(workers)]
[t.start() for t in threads]; [t.join() for t in threads]
print(1000 * (time.perf_counter() - begun) / (workers * turns))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--deltas", type=int, default=20)
    parser.add_argument("--profile", type=Path, help="write a profile of the process here")
    parser.add_argument("--peer", metavar="PYTHON", help="measure mini-swe-agent with it instead")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there, options.deltas), daemon=True)
    server.start()
    address = here.recv()
    image = asyncio.run(ensure_image(ImageSpec(), progress=print))
    if options.peer:
        words = [address, image.name, str(options.workers), str(options.turns)]
        subprocess.run([options.peer, "-c", PEER, *words], check=True)
        return
    profile = cProfile.Profile(time.process_time)
    if options.profile:
        profile.enable()
    race = asyncio.run(measure(address, image, options.workers, options.turns))
    profile.disable()
    if options.profile:
        profile.dump_stats(options.profile)
    print(
        json.dumps(
            {
                "workers": options.workers,
                "turns": options.turns,
                "deltas": options.deltas,
                "wall_ms_a_turn": round(race.wall, 2),
                "processor_ms_a_turn": round(race.cpu, 2),
                "load": round(os.getloadavg()[0], 1),
            }
        )
    )
    server.kill()


if __name__ == "__main__":
    main()
