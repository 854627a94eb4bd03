"""The benchmark runner measured: what it costs, what it holds when it is killed.

    python -m benchmarks.bench [--only turns ...] [--kills 20] [--suite quixbugs:PATH ...]

Each part is a row of the table with its bound; the exit code is 1 where one is missed.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

from agent.bench import record
from agent.bench import sitting as sittings
from agent.bench.record import Result
from agent.bench.sitting import Sitting, Wish, opened
from agent.trajectory import Recorder
from benchmarks.sandbox import memory
from benchmarks.table import HEAD, Row
from benchmarks.turn_cost import Caller
from sandbox.engine import shared_engine
from sandbox.image import ImageSpec, ensure_image
from sandbox.leftovers import OWNER_LABEL
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.pool import Pool
from sandbox.trees import TreeStore
from tasks.rooms import Rooms, room_recipe
from tasks.suites import starter
from tasks.suites.suite import Outline, Suite
from tests.agent.running.kept import Kept
from tests.agent.running.played import Onlooker
from tests.faults.server import Reply, Request, call, delta, sse, usage

WORKERS, TURNS = 8, 20
RECORDED = 10_000
EVENTS = 1_400  # about as many as 40 attempts log
GREENROOM = Path(sys.executable).with_name("greenroom")
MEND = "sed -i 's/a - b/a + b/' calc.py"


class Mending(Caller):
    """As `Caller`, until the last of so many turns, which mends the package."""

    def _next(self, request: Request) -> Reply:
        taken = request.body.count(b'"role":"assistant"')
        if request.path.endswith("/chat/completions") and taken >= TURNS - 1:
            self.requests.append(request)
            made = call("shell", {"command": MEND})
            return Reply([self._said, sse(made, delta("tool_calls"), usage(1000, 30), "[DONE]")])
        return super()._next(request)


def serve(port: Connection) -> None:
    async def run() -> None:
        async with Mending(20) as server:
            port.send(server.base_url)
            await asyncio.sleep(3600)

    asyncio.run(run())


async def sit(
    suite: Suite, wish: Wish, onlooker: Onlooker | None = None, *, work: bool = True
) -> Sitting:
    """Works on a run of a suite that is only here, or only makes its folder."""
    quiet = lambda _text, *, always=False: None  # noqa: E731 - a listener's signature
    with patch.object(sittings.suites, "find", lambda _: suite):
        async with opened(wish, onlooker or Onlooker(), quiet) as sitting:
            sitting.pacer = None  # as many workers as are asked for
            if work:
                await sitting.work()
    return sitting


def kept(many: int) -> Kept:
    return Kept(dict.fromkeys(f"task-{number:02}" for number in range(many)), {})


async def turns(folder: Path, options: argparse.Namespace) -> AsyncIterator[Row]:
    """The whole runner against a server without latency."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    server.start()
    flags = {"model": "openai:m", "base_url": here.recv(), "protocol": "chat"}
    many = 3 * WORKERS
    wish = Wish("kept", workers=WORKERS, folder=folder / "turns", flags=flags)
    began, busy = time.perf_counter(), time.process_time()
    done = await sit(kept(many), wish)
    wall, busy = time.perf_counter() - began, time.process_time() - busy
    server.kill()
    logs = [list(stamps(log)) for log in done.folder.glob("attempts/*/1/trajectory.jsonl")]
    solved = done.tally.solved == many
    name = f"{WORKERS} workers, {TURNS} turns a task, a turn"
    yield Row(f"{name}: turns alone", alone(logs), "ms", 10, met=solved)
    whole, cost = 1000 * wall / (many * TURNS), 1000 * busy / (many * TURNS)
    told = f"{cost:.1f} ms of a processor"
    yield Row(f"{name}: with all of the task", whole, "ms", 40, ratio=told, met=solved)


def stamps(log: Path) -> Iterator[float]:
    """When each turn of an attempt began, and when the last had been taken."""
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "turn.started":
            yield seconds(event["time"])


def seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def alone(logs: Sequence[Sequence[float]]) -> float:
    """Milliseconds a turn, of the moments in which every worker was between its first turn and its
    last: nobody opened a sandbox or judged a patch."""
    moments = sorted({each for log in logs for each in log})
    took = count = 0.0
    for before, after in pairwise(moments):
        busy = sum(log[0] <= before and after <= log[-1] for log in logs)
        if busy == WORKERS:
            took += after - before
            count += sum(log.count(after) for log in logs)
    return 1000 * took / count if count else float("nan")


class Recorded(Kept):
    """A large suite, every attempt of which is on the disk, ended and not yet logged."""

    def outline(self, name: str) -> Outline:
        return Outline(name, ImageSpec(), Policy())


async def recorded(folder: Path, options: argparse.Namespace) -> AsyncIterator[Row]:
    """Many attempts that have ended, through the runner; no container is opened."""
    suite = Recorded(dict.fromkeys(f"t{number:05}" for number in range(options.recorded)), {})
    run = folder / "recorded"
    await sit(suite, Wish("kept", "gold", folder=run), work=False)
    log = folder / "trajectory.jsonl"
    write_attempt(log, folder)
    for name in suite.names():
        place = run / "attempts" / name / "1"
        place.mkdir(parents=True)
        os.link(log, place / "trajectory.jsonl")
        os.symlink(folder / "trees.git", place / "trees.git")
    onlooker = Watching(options.recorded // 10)
    began, busy = time.perf_counter(), time.process_time()
    await sit(suite, Wish("kept", "gold", workers=WORKERS, folder=run), onlooker)
    wall, busy = time.perf_counter() - began, time.process_time() - busy
    found = Counter(result.key for result in record.read(run / "results.jsonl"))
    once = len(found) == options.recorded == found.total()
    many = f"{options.recorded:,} recorded tasks"
    cost = f"{1000 * busy / options.recorded:.2f} ms of a processor"
    yield Row(f"{many}, a task", 1000 * wall / options.recorded, "ms", 5, ratio=cost, met=once)
    more = 100 * (memory() / onlooker.memory - 1)
    yield Row(f"{many}: memory more than after a tenth", more, "%", 5)
    yield Row(f"{many}: the last tenth's time by the first's", onlooker.slower(), "times", 1.5)


class Watching(Onlooker):
    """Looks at the memory once so many tasks have ended, and how long each so many took."""

    def __init__(self, tenth: int) -> None:
        super().__init__()
        self._tenth = tenth
        self._ended = 0
        self._times = [time.perf_counter()]
        self.memory = 0.0

    def _note(self, what: str, task: str) -> None:
        return

    def ended(self, result: Result) -> None:
        self._ended += 1
        if self._ended % self._tenth == 0:
            self._times.append(time.perf_counter())
            self.memory = self.memory or memory()

    def slower(self) -> float:
        took = [after - before for before, after in pairwise(self._times)]
        return took[-1] / took[0]


def write_attempt(log: Path, folder: Path) -> None:
    """An attempt of 20 turns that changed nothing."""
    store = TreeStore.create(folder / "trees.git")
    tree = store.add_tree([("a.py", FILE, b"")])
    recorder = Recorder(log)
    start = dict.fromkeys(("run", "greenroom", "model", "sampling", "limits", "settings"), "")
    recorder.emit("run.started", **start, task={"base": {"tree": tree}})
    for turn in range(1, TURNS + 1):
        recorder.emit("turn.started", turn=turn)
        recorder.emit("message", message={"role": "assistant", "text": "word " * 200})
        recorder.emit("call", turn=turn, id="c", name="shell", arguments='{"command": "ls"}')
        recorder.emit(
            "result", turn=turn, id="c", name="shell", ok=True, text="line\n" * 100, seconds=0.1
        )
        recorder.emit("turn.ended", turn=turn, tree=tree, usage={}, seconds=1.0, cost=None)
    ended = {"status": "not solved", "reason": "", "turns": TURNS, "usage": {}, "seconds": 9.0}
    recorder.emit("run.ended", **ended, cost=None, tree=tree, grade=None, malformed={})
    recorder.close()


async def room(folder: Path, options: argparse.Namespace) -> AsyncIterator[Row]:
    """A patch tried in a clean room that was ready, beyond the seconds of its test command."""
    store = TreeStore.create(folder / "room.git")
    task = starter.load("line-wrap", store)
    gold = store.from_diff(task.base.tree, starter.gold("line-wrap") or b"")
    image = await ensure_image(task.image)
    took = []
    async with Pool() as pool:
        await pool.prepare(room_recipe(task, image))
        for _ in range(5):
            await pool.settled()
            began = time.perf_counter()
            run = await Rooms(task, image, None, None, pool).run("a patch", gold)
            took.append(time.perf_counter() - began - run.report.seconds)
    yield Row("a starter task in a warm clean room, beyond its tests", sorted(took)[2], "s", 0.5)


def bench(*words: str, cwd: Path) -> "subprocess.Popen[bytes]":
    said = (cwd / "said.txt").open("ab")
    command = [str(GREENROOM), "bench", *words]
    return subprocess.Popen(command, cwd=cwd, stdout=said, stderr=said, start_new_session=True)


async def kills(folder: Path, options: argparse.Namespace) -> AsyncIterator[Row]:
    """A run of 40 attempts that is killed at random moments, and gone on with each time."""
    scripts(folder / "scripts")
    words = ("starter", "-m", "script:scripts", "-l", "20", "-k", "2", "-w", "4", "-o", "run")
    chance = random.Random(options.seed)  # noqa: S311 - moments, no secret
    kept: dict[Path, bytes] = {}
    killed, redone = [], 0
    for _ in range(options.kills):
        process = bench(*words, cwd=folder)
        killed.append(process.pid)
        more = chance.randrange(2 * EVENTS // options.kills)
        await asyncio.to_thread(pass_time, process, folder / "run", more, chance.random())
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        redone += sum(log.read_bytes() != before for log, before in kept.items())
        for result in record.read(folder / "run" / "results.jsonl"):
            log = folder / "run" / result.folder / "trajectory.jsonl"
            kept.setdefault(log, log.read_bytes())
    process = bench(*words, cwd=folder)
    code = process.wait()
    redone += sum(log.read_bytes() != before for log, before in kept.items())
    results = list(record.read(folder / "run" / "results.jsonl"))
    found = Counter(result.key for result in results)
    name = f"40 attempts, killed {len(killed)} times"
    lost = 40 - len(found)
    yield Row(f"{name}: results lost or doubled", lost + found.total() - len(found), "", 0)
    solvable = 2 * sum(starter.gold(each) is not None for each in starter.names()[:20])
    solved = sum(result.solved for result in results)
    yield Row(f"{name}: solved of those that can be", solved, "", least=solvable, met=code == 0)
    yield Row(f"{name}: finished attempts done again", redone, f"of {len(kept)}", 0)
    await asyncio.sleep(5)
    yield Row(f"{name}: containers left", left(killed), "", 0)


def pass_time(process: "subprocess.Popen[bytes]", run: Path, more: int, then: float) -> None:
    """Waits until the attempts have logged so many events more, and some seconds. Moments that are
    counted so are spread over a run, however slow the machine is."""
    until = logged(run) + more
    while process.poll() is None and logged(run) < until:
        time.sleep(0.2)
    time.sleep(then)


def logged(run: Path) -> int:
    """How many events the attempts of a run have logged."""
    logs = run.glob("attempts/*/*/trajectory.jsonl")
    return sum(log.read_bytes().count(b"\n") for log in logs)


def left(pids: Sequence[int]) -> int:
    found = shared_engine().api.containers(all=True, filters={"label": OWNER_LABEL})
    owners = (container["Labels"][OWNER_LABEL].split("/") for container in found)
    return sum(len(owner) == 4 and int(owner[2]) in pids for owner in owners)


def scripts(folder: Path) -> None:
    """For each task some commands, then its solution."""
    folder.mkdir()
    for name in starter.names():
        gold = (starter.gold(name) or b"").decode()
        commands = ["ls", "sleep 0.2", "cat */*.py | head", f"git apply - <<'EOF'\n{gold}EOF"]
        made = [{"calls": [{"name": "shell", "arguments": {"command": c}}]} for c in commands]
        (folder / f"{name}.json").write_text(json.dumps(made))


async def suites(folder: Path, options: argparse.Namespace) -> AsyncIterator[Row]:
    """The suites' own solutions, and their bases."""
    for number, suite in enumerate(options.suite or ["starter"]):
        for way, bound in (("gold", {"least": 100.0}), ("empty", {"bound": 0.0})):
            words = (suite, f"--{way}", "-o", f"{way}-{number}")
            code = bench(*words, cwd=folder).wait()
            found = list(record.read(folder / f"{way}-{number}" / "results.jsonl"))
            counted = [result for result in found if result.counts]
            share = 100 * sum(result.solved for result in counted) / max(1, len(counted))
            apart = len(found) - len(counted)
            named = f"{suite} --{way}: {len(counted)} tasks" + (f", {apart} apart" if apart else "")
            yield Row(named, share, "%", met=code == 0, **bound)


Part = Callable[[Path, argparse.Namespace], AsyncIterator[Row]]
PARTS: dict[str, Part] = {
    "turns": turns,
    "recorded": recorded,
    "room": room,
    "kills": kills,
    "suites": suites,
}


async def measure(options: argparse.Namespace) -> bool:
    """Prints the table; whether every bound held."""
    good = True
    print(HEAD)
    for name in options.only or PARTS:
        with scratch() as folder:
            async for row in PARTS[name](folder, options):
                print(row.line(), flush=True)
                good = good and row.holds
    return good


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
        yield Path(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be repeated")
    parser.add_argument("--recorded", type=int, default=RECORDED)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--suite", action="append", help="for the part `suites`; may be repeated")
    options = parser.parse_args()
    shared_engine()
    asyncio.run(ensure_image(ImageSpec(), progress=lambda text: print(text, file=sys.stderr)))
    load: Any = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}", file=sys.stderr)
    return 0 if asyncio.run(measure(options)) else 1


if __name__ == "__main__":
    sys.exit(main())
