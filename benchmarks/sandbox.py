"""What a sandbox costs, as one table: medians of one run, with ratios to the same done through
Docker's own API or program, so that other load on the machine cancels out, and with bounds.

    python -m benchmarks.sandbox [--rounds 40] [--only openings] [--endurance 1000] [--peers PYTHON]

`--peers` names a Python in which swe-rex and mini-swe-agent are installed (its own, by default).
Exits with 1 when a bound is missed.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.table import Row
from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.leftovers import OWNER_LABEL, this_process
from sandbox.patch import FILE, Change, Patch
from sandbox.policy import GIB, KIB, MIB, Policy
from sandbox.pool import Pool
from sandbox.recipe import Recipe
from sandbox.trees import Base, TreeStore

FEW, MANY = 200, 20_000
MANY_BYTES = 300 * MIB
LARGE = Policy(memory_bytes=4 * GIB, workspace_bytes=GIB)
SMALL = Policy(
    memory_bytes=300 * MIB,
    workspace_bytes=32 * MIB,
    workspace_inodes=8192,
    tmp_bytes=16 * MIB,
    home_bytes=16 * MIB,
)
OPENINGS = 10
PARTS = ("commands", "files", "openings", "pooled", "throughput", "endurance", "peers")


async def median(work: Callable[[], Awaitable[Any]], rounds: int) -> float:
    """The median time of `work`, in milliseconds, after one round that is not counted."""
    await work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


class Bench:
    """What the measures share: the engine, the image, two bases, and the rounds."""

    def __init__(self, engine: Engine, image: Image, folder: Path, rounds: int) -> None:
        self.engine = engine
        self.image = image
        self.rounds = rounds
        self._store = TreeStore.create(folder / "store")
        self.few = self._base(FEW, 2000)
        self._many: Base | None = None

    @property
    def many(self) -> Base:
        """20,000 files, 300 MB; made when first asked for."""
        if self._many is None:
            self._many = self._base(MANY, MANY_BYTES // MANY)
        return self._many

    def _base(self, files: int, size: int) -> Base:
        noise = os.urandom(size)
        entries = (
            (f"d{n % 200}/f{n}.py", FILE, b"# %d\n" % n + noise[: size - 8]) for n in range(files)
        )
        return Base(self._store, self._store.add_tree(entries))

    @asynccontextmanager
    async def bare(self) -> AsyncIterator[str]:
        """A container as plain as can be, started: its id."""
        container = await asyncio.to_thread(self.start_bare)
        try:
            yield container
        finally:
            await asyncio.to_thread(self.engine.api.remove_container, container, force=True)

    def start_bare(self) -> str:
        api = self.engine.api
        host = api.create_host_config(network_mode="none")
        made = api.create_container(self.image.reference, ["sleep", "600"], host_config=host)
        api.start(made["Id"])
        return str(made["Id"])


async def commands(bench: Bench) -> AsyncIterator[Row]:
    """One command in a running sandbox, and the same by `docker exec`."""
    api, fewer = bench.engine.api, max(5, bench.rounds // 4)
    program = shutil.which("docker")
    async with bench.bare() as bare, Sandbox.open(bench.image, bench.few, Policy()) as box:
        for command, bound, through_api, through_cli in (
            (["true"], 3, 15, 20),
            (["bash", "-lc", "true"], 8, 0, 0),
        ):

            def execute(command: list[str] = command) -> None:
                api.exec_start(api.exec_create(bare, command)["Id"])

            def run(command: list[str] = command) -> None:
                subprocess.run([str(program), "exec", bare, *command], check=True)

            mine = await median(lambda command=command: box.run(command), bench.rounds)  # type: ignore[misc]
            by_api = await median(lambda: asyncio.to_thread(execute), fewer)
            ratio, met = f"{by_api / mine:.1f}x faster than exec by the API", by_api / mine
            held = met >= through_api
            if program:
                by_cli = await median(lambda: asyncio.to_thread(run), fewer)
                ratio += f", {by_cli / mine:.1f}x than by the program"
                held = held and by_cli / mine >= through_cli
            yield Row(f"`{' '.join(command)}`", mine, "ms", bound, ratio=ratio, met=held)


async def files(bench: Bench) -> AsyncIterator[Row]:
    """Files in and out, resets, deltas."""
    content = os.urandom(10 * KIB)
    async with Sandbox.open(bench.image, bench.few, Policy(), resettable=True) as box:
        written = await median(lambda: box.write("new", content), bench.rounds)
        yield Row("write 10 kB", written, "ms", 1)
        yield Row("read 10 kB", await median(lambda: box.read("new"), bench.rounds), "ms", 1)
        yield Row(f"reset, {FEW} files", await median(box.reset, bench.rounds), "ms", 10)
    async with Sandbox.open(bench.image, bench.many, LARGE) as box:
        count = 0

        async def change_one() -> None:
            nonlocal count
            count += 1
            await box.run(["sh", "-c", f"echo {count} > d0/f0.py"])

        async def delta() -> None:
            await box.delta()

        await change_one()
        found = await median(delta, max(5, bench.rounds // 4))
        yield Row(f"delta of one change in {MANY:,} files", found, "ms", 150)


async def openings(bench: Bench) -> AsyncIterator[Row]:
    """From `open` to the first answer, beside a bare container created and started in turn."""
    opened, bare, closed = [], [], []
    for _ in range(OPENINGS + 1):
        began = time.perf_counter()
        async with Sandbox.open(bench.image, bench.few, Policy()) as box:
            await box.run(["true"])
            opened.append(time.perf_counter() - began)
            began = time.perf_counter()
        closed.append(time.perf_counter() - began)
        began = time.perf_counter()
        async with bench.bare():
            bare.append(time.perf_counter() - began)
    mine, reference = (statistics.median(times[1:]) * 1000 for times in (opened, bare))
    ratio = mine / reference
    text = f"{ratio:.2f} of a bare create and start ({reference:.0f} ms); bound 1.2"
    yield Row("open to first answer", mine, "ms", ratio=text, met=ratio <= 1.2)
    yield Row("close, until it is gone", statistics.median(closed) * 1000, "ms")
    began = time.perf_counter()
    async with Sandbox.open(bench.image, bench.many, LARGE) as box:
        await box.run(["true"])
        took = time.perf_counter() - began
    yield Row(f"open with {MANY:,} files, {MANY_BYTES // MIB} MB", took, "s", 3)


async def pooled(bench: Bench) -> AsyncIterator[Row]:
    """What waits in the pool already; the time for its refilling is not counted."""
    for base, policy, bound, count in (
        (bench.few, Policy(), 60, FEW),
        (bench.many, LARGE, 250, MANY),
    ):
        recipe = Recipe(bench.image, base, policy)
        patch = Patch(tuple(Change(f"d1/new{n}", FILE, b"x" * 2000) for n in range(20)))
        taken, forked = [], []
        async with Pool(engine=bench.engine) as pool, Sandbox.of(recipe, pool=pool) as box:
            await box.apply(patch)
            for _ in range(max(3, bench.rounds // 8)):
                taken.append(await opening(pool, Sandbox.of(recipe, pool=pool)))
                forked.append(await opening(pool, box.fork(pool=pool)))
        if base is bench.few:
            yield Row("open from the pool", statistics.median(taken) * 1000, "ms", 20)
        name = f"fork with a 20-file patch, from the pool, {count:,} files"
        yield Row(name, statistics.median(forked) * 1000, "ms", bound)


async def opening(pool: Pool, opened: AbstractAsyncContextManager[Sandbox]) -> float:
    """How long it takes to open, when what the pool holds is ready."""
    await pool.settled()
    began = time.perf_counter()
    async with opened as box:
        took = time.perf_counter() - began
        await box.run(["true"])
    return took


async def throughput(bench: Bench) -> AsyncIterator[Row]:
    """32 sandboxes at once, 50 commands each."""
    boxes = [
        await Sandbox.start_new(Recipe(bench.image, bench.few, SMALL), bench.engine)
        for _ in range(32)
    ]
    try:
        for command, least in ((["true"], 500), (["bash", "-lc", "true"], 200)):

            async def work(box: Sandbox, command: list[str] = command) -> None:
                for _ in range(50):
                    await box.run(command)

            began = time.perf_counter()
            await asyncio.gather(*(work(box) for box in boxes))
            rate = 32 * 50 / (time.perf_counter() - began)
            cores = os.cpu_count()
            name = f"32 sandboxes at once: `{' '.join(command)}` ({cores} cores)"
            yield Row(name, rate, "a second", least=least)
        yield Row("32 sandboxes at once: memory of the harness", memory(), "MB", 150)
    finally:
        await asyncio.gather(*(box.close() for box in boxes))


def memory() -> float:
    """The resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def endurance(bench: Bench, count: int) -> AsyncIterator[Row]:
    """Many sandboxes opened and closed; what there is more of afterwards than after the first."""
    before = (descriptors(), threading.active_count(), memory())
    for number in range(count):
        async with Sandbox.open(bench.image, bench.few, SMALL) as box:
            await box.run(["true"])
        if number + 1 == max(1, count // 10):
            before = descriptors(), threading.active_count(), memory()
    own = f"{OWNER_LABEL}={this_process().label()}"
    left = bench.engine.api.containers(all=True, filters={"label": own})
    name = f"{count:,} sandboxes opened and closed:"
    yield Row(f"{name} containers left", len(left), "", 0)
    yield Row(f"{name} descriptors more", descriptors() - before[0], "", 0)
    yield Row(f"{name} threads more", threading.active_count() - before[1], "", 0)
    yield Row(f"{name} memory more", 100 * (memory() / before[2] - 1), "%", 5)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def peers(bench: Bench, python: str) -> AsyncIterator[Row]:
    """The same by SWE-ReX and mini-swe-agent."""
    image = await ensure_image(ImageSpec(pip=("swe-rex",)), engine=bench.engine, progress=note)
    command = [python, "-m", "benchmarks.peers", image.name, str(bench.rounds)]
    told = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=True)
    for peer, found in json.loads(told.stdout.splitlines()[-1]).items():
        for name, milliseconds in found.items():
            yield Row(f"{peer}: {name}", milliseconds, "ms")


def note(text: str) -> None:
    print(text, file=sys.stderr)


@contextmanager
def opened_bench(rounds: int) -> Iterator[Bench]:
    engine = Engine.connect()
    image = asyncio.run(ensure_image(ImageSpec(), engine=engine, progress=note))
    with tempfile.TemporaryDirectory(prefix="greenroom-benchmark-") as folder:
        yield Bench(engine, image, Path(folder), rounds)


async def measure(bench: Bench, options: argparse.Namespace) -> bool:
    """Print the table; whether every bound held."""
    parts: dict[str, Callable[[], AsyncIterator[Row]]] = {
        "commands": lambda: commands(bench),
        "files": lambda: files(bench),
        "openings": lambda: openings(bench),
        "pooled": lambda: pooled(bench),
        "throughput": lambda: throughput(bench),
    }
    if options.endurance:
        parts["endurance"] = lambda: endurance(bench, options.endurance)
    if options.peers:
        parts["peers"] = lambda: peers(bench, options.peers)
    good = True
    print("| | seen | bound | beside |\n|---|---|---|---|")
    for name, part in parts.items():
        if options.only and name not in options.only:
            continue
        async for row in part():
            print(row.line(), flush=True)
            good = good and row.holds
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be repeated")
    parser.add_argument("--endurance", type=int, default=0, metavar="N")
    parser.add_argument("--peers", nargs="?", const=sys.executable, metavar="PYTHON")
    options = parser.parse_args()
    with opened_bench(options.rounds) as bench:
        note(f"Docker {bench.engine.version}, {os.cpu_count()} cores, {options.rounds} rounds")
        return 0 if asyncio.run(measure(bench, options)) else 1


if __name__ == "__main__":
    sys.exit(main())
