"""What a sandbox costs: opening, running, putting back. Prints medians, and ratios to the same
done through Docker's own API in the same run; other load on the machine then cancels out.

    python -m benchmarks.sandbox_speed [--rounds 30] [--files 200] [--image NAME]
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.patch import FILE, Change, Patch
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore

FILE_BYTES = 2000
OPENINGS = 8


async def median(work: Callable[[], Awaitable[Any]], rounds: int) -> float:
    """The median time of `work`, in milliseconds, after one round that is not counted."""
    await work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def bare_container(engine: Engine, image: str) -> str:
    """A container as plain as can be, started: its id."""
    host_config = engine.api.create_host_config(network_mode="none")
    made = engine.api.create_container(image, ["sleep", "600"], host_config=host_config)
    engine.api.start(made["Id"])
    return str(made["Id"])


def execute(engine: Engine, container: str, command: list[str]) -> None:
    """One `docker exec`, through the API."""
    started = engine.api.exec_create(container, command)
    engine.api.exec_start(started["Id"])


def show(name: str, milliseconds: float, reference: float | None = None, of: str = "") -> None:
    ratio = f"{milliseconds / reference:6.2f} x {of} ({reference:.1f} ms)" if reference else ""
    print(f"{name:44}{milliseconds:9.1f} ms  {ratio}")


async def measure(image: Image, engine: Engine, rounds: int, files: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = TreeStore.create(Path(folder) / "store")
        content = b"x = 1\n" * (FILE_BYTES // 6)
        tree = store.add_tree((f"d{n % 20}/f{n}.py", FILE, content) for n in range(files))
        base = Base(store, tree)
        await openings(image, engine, base)
        bare = await asyncio.to_thread(bare_container, engine, image.reference)
        try:
            async with Sandbox.open(image, base, Policy(), resettable=True) as box:
                await commands(box, engine, bare, rounds)
                await trees(box, rounds, files)
        finally:
            await asyncio.to_thread(engine.api.remove_container, bare, force=True)


async def openings(image: Image, engine: Engine, base: Base) -> None:
    opened, closed, bare = [], [], []
    for _ in range(OPENINGS + 1):
        began = time.perf_counter()
        async with Sandbox.open(image, base, Policy()) as box:
            await box.run(["true"])
            opened.append(time.perf_counter() - began)
            began = time.perf_counter()
        closed.append(time.perf_counter() - began)
        began = time.perf_counter()
        container = await asyncio.to_thread(bare_container, engine, image.reference)
        bare.append(time.perf_counter() - began)
        await asyncio.to_thread(engine.api.remove_container, container, force=True)
    reference = statistics.median(bare[1:]) * 1000
    first = statistics.median(opened[1:]) * 1000
    show("open, to the first command's answer", first, reference, "a bare create and start")
    show("close, until the container is gone", statistics.median(closed[1:]) * 1000)


async def commands(box: Sandbox, engine: Engine, bare: str, rounds: int) -> None:
    for command in (["true"], ["bash", "-lc", "true"]):

        async def inside(command: list[str] = command) -> None:
            await box.run(command)

        async def through_api(command: list[str] = command) -> None:
            await asyncio.to_thread(execute, engine, bare, command)

        reference = await median(through_api, max(5, rounds // 3))
        show(" ".join(command), await median(inside, rounds), reference, "docker exec")
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < 2:
        await asyncio.gather(*(box.run(["true"]) for _ in range(8)))
        count += 8
    print(f"{'commands a second, 8 at a time':44}{count / (time.perf_counter() - began):9.0f}")


async def trees(box: Sandbox, rounds: int, files: int) -> None:
    change = Patch((Change("d0/f0.py", FILE, b"x = 2\n"),))
    show("write a file", await median(lambda: box.write("new", b"x"), rounds))
    show("read a file", await median(lambda: box.read("d1/f1.py"), rounds))
    show("apply a patch of one file", await median(lambda: box.apply(change), rounds))
    show(f"delta of {files} files", await median(box.delta, rounds))
    show(f"reset of {files} files", await median(box.reset, rounds))
    show("search", await median(lambda: box.search("y = 1"), rounds))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--image", help="an image that is here, instead of Greenroom's own")
    options = parser.parse_args()
    engine = await asyncio.to_thread(Engine.connect)
    if options.image:
        image = Image(options.image, options.image)
    else:
        image = await ensure_image(ImageSpec(), engine=engine, progress=print)
    print(f"Docker {engine.version}, {options.files} files of {FILE_BYTES} bytes")
    await measure(image, engine, options.rounds, options.files)


if __name__ == "__main__":
    asyncio.run(main())
