"""Judges every hostile patch of tests/attacks/forgeries and prints what came of it.

    python benchmarks/forgeries.py [--only NAME ...]

Each is first shown to be one: the tests' command ends with 0 on it, which is all that many a runner
looks at. None may come out solved.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from sandbox.container import Sandbox
from sandbox.image import ensure_image
from sandbox.trees import TreeStore
from tasks.rooms import room_recipe
from tasks.verify import verify
from tests.attacks import forgery


async def judged(name: str, store: TreeStore) -> tuple[bool, str]:
    """Whether it is as it has to be, and its line."""
    forged = forgery.read(name)
    task = forged.load(store)
    patch = forged.patch(task)
    image = await ensure_image(task.image, checkout=task.base)
    async with Sandbox.of(room_recipe(task, image)) as box:
        fools = await forged.fools(box, patch, task.checks.hidden)
    started = time.monotonic()
    verdict = await verify(task, patch, image=image)
    seconds = time.monotonic() - started
    right = verdict.status == forged.verdict
    told = f"{verdict.status}" if right else f"**{verdict.status}**, not {forged.verdict}"
    reason = verdict.reasons[0].replace("|", "\\|")[:150]
    exit_code = "0" if fools else "**not 0**"
    print(f"| {name} | {exit_code} | {told} | {seconds:.1f} s | {reason} |", flush=True)
    return right and fools, verdict.status


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", default=forgery.names())
    options = parser.parse_args()
    print("| forgery | exit code | verdict | took | first reason |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store = TreeStore.create(Path(folder) / "store")
        found = [await judged(name, store) for name in options.only]
    counts = Counter(status for _, status in found)
    told = ", ".join(f"{number} {status}" for status, number in counts.most_common())
    print(f"\n{len(found)} forgeries: {told}; {counts['solved']} solved")
    return 0 if all(right for right, _ in found) and not counts["solved"] else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
