"""`greenroom bench SUITE`: every task of a suite, many at a time, with results that hold."""

import argparse
import asyncio
import math
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.bench.given import Given
from agent.bench.job import Way
from agent.bench.report import write_report
from agent.bench.runner import RunLimits
from agent.bench.selection import Selection, parse_shard
from agent.bench.sitting import Sitting, Wish, opened, preview
from agent.cli.bench.board import EVERY, Board
from agent.cli.command import add_settings, flags
from agent.cli.console import Console
from agent.cli.process import run
from agent.cli.text import count, duration
from agent.keys import LIMITS, MODEL, REASONING, SAMPLING
from sandbox.errors import UsageError

DESCRIPTION = """\
Run a suite of tasks: each is solved by the model in a sandbox and judged in clean rooms, many at a
time. Results go to a folder; the same command with that folder goes on where it was.

Suites: starter (bundled), or KIND:PATH, as quixbugs:, exercism:, swebench:, harbor:, tasks:PATH.

further commands, each with its own --help:
  greenroom bench verify|rescore                 judge patches that any tool made; do it again
  greenroom bench report|compare                 the report of a run; two runs beside each other
  greenroom bench validate|new                   check a suite of your own; make a task of a commit

examples:
  greenroom bench starter -m vllm:gpt-oss-20b
  greenroom bench starter -m openai:NAME -k 4 --seed 1 -o runs/first
  greenroom bench starter --gold                 the suite's own solutions: each must verify
  greenroom bench starter --empty                no patch: none may verify\
"""
#: The settings that a suite's own limits can be changed by.
SANDBOX_FLAGS = (
    *("network", "command_timeout", "memory", "cpus", "pids", "workspace_size"),
    *("preset", "workspace", "isolation"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", metavar="SUITE", help="such as starter, or KIND:PATH")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--gold", action="store_true", help="judge the suite's own solutions")
    way.add_argument("--empty", action="store_true", help="judge the bases without any patch")
    add_selection(parser)
    add = parser.add_argument
    add("-k", "--attempts", type=int, default=1, metavar="K", help="attempts at each task")
    add("--run-token-limit", type=int, metavar="N", help="tokens of the whole run, in and out")
    add("--run-cost-limit", type=float, metavar="USD", help="US dollars of the whole run")
    add_settings(
        parser, (*MODEL, "toolset", *SAMPLING, *REASONING, *LIMITS, *SANDBOX_FLAGS, "warm")
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that any run has: which tasks, where it is kept, how it is shown."""
    add = parser.add_argument
    add("-w", "--workers", metavar="N", help="the most attempts at a time (default: auto)")
    add(
        "--filter",
        action="append",
        default=[],
        metavar="TEXT",
        help="only tasks whose names fit a pattern or hold a text (several: give it again)",
    )
    add("-l", "--limit", type=int, metavar="N", help="only the first N tasks")
    add("--shard", metavar="I/N", default="1/1", help="only the I-th of N parts of the tasks")
    add("-o", "--output", type=Path, metavar="FOLDER", help="keep the run there, or go on with it")
    add("--run-time-limit", type=float, metavar="SECONDS", help="for this sitting")
    add("--engine", choices=("local", "ray"), default="local", help="this machine, or a cluster")
    add("--ray-address", metavar="ADDRESS", default="auto", help="of the cluster (default: auto)")
    add("--dry-run", action="store_true", help="only say what would be run")
    add("--json", action="store_true", help="one JSON document on standard output at the end")


def main(options: argparse.Namespace, console: Console) -> int:
    return conduct(_wish(options), console)


def conduct(wish: Wish, console: Console) -> int:
    """Does what is wished, shown on the console; the exit code."""
    if wish.preview:
        return _preview(wish, console)
    conducted = _Conduct(wish, console)
    return run(conducted.run(), drain=conducted.drain)


def _preview(wish: Wish, console: Console) -> int:
    seen = preview(wish)
    total = len(seen.names) * wish.attempts
    if console.json:
        console.document(
            {
                "schema": "greenroom.bench-preview/1",
                "tasks": list(seen.names),
                "attempts": total,
                "done": seen.done,
                "patches": seen.model,
            }
        )
        return 0
    for name in seen.names:
        console.say(name)
    done = f", {seen.done} done already" if seen.done else ""
    tasks = count(len(seen.names), "task")
    console.note(f"{tasks}, {count(total, 'attempt')}{done}; patches from: {seen.model}", "dim")
    return 0


def _wish(options: argparse.Namespace) -> Wish:
    """What the flags ask for. Raises UsageError."""
    way: Way = "gold" if options.gold else "empty" if options.empty else "model"
    if options.attempts < 1:
        raise UsageError(f"--attempts: expected a number from 1 on, got {options.attempts}")
    wish = wish_of(options, options.suite, way)
    if way != "model" and wish.flags.get("model"):
        raise UsageError(
            f"--{way} and --model were both given", f"Give one: no model is run with --{way}."
        )
    limits = RunLimits(options.run_time_limit, options.run_token_limit, options.run_cost_limit)
    return replace(wish, attempts=options.attempts, limits=_check_limits(limits))


def wish_of(options: argparse.Namespace, suite: str, way: Way) -> Wish:
    """What the flags of `add_selection` ask for. Raises UsageError."""
    given = flags(options)
    workers = None
    if options.workers not in (None, "auto"):
        workers = _number("--workers", options.workers)
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit: expected a number from 1 on, got {options.limit}")
    seed = given.get("seed")
    selection = Selection(
        filters=tuple(options.filter),
        shard=parse_shard(options.shard),
        limit=options.limit,
        seed=seed if isinstance(seed, int) else None,
    )
    return Wish(
        suite=suite,
        way=way,
        selection=selection,
        workers=workers,
        folder=options.output,
        limits=_check_limits(RunLimits(options.run_time_limit)),
        flags=given,
        preview=options.dry_run,
        cluster=options.ray_address if options.engine == "ray" else None,
    )


def judging_wish(options: argparse.Namespace, suite: str, given: Given) -> Wish:
    """The wish to judge patches that are there. Raises UsageError."""
    return replace(wish_of(options, suite, "given"), given=given, attempts=given.attempts)


def _check_limits(limits: RunLimits) -> RunLimits:
    for flag, value in (
        ("--run-time-limit", limits.seconds),
        ("--run-token-limit", limits.tokens),
        ("--run-cost-limit", limits.cost),
    ):
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{flag}: expected a number above 0, got {value:g}")
    return limits


def _number(flag: str, text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"{flag}: expected a number from 1 on, or auto, got {text!r}")


class _Conduct:
    """One sitting, shown on a console."""

    def __init__(self, wish: Wish, console: Console) -> None:
        self._wish = wish
        self._console = console
        self._sitting: Sitting | None = None
        self._stopped = False
        self._began = time.monotonic()

    def drain(self) -> bool:
        """The first Ctrl-C: whether the run now ends by itself."""
        if self._sitting is None:
            return False
        self._stopped = True
        self._sitting.runner.drain()
        self._console.warn(
            f"\nstopping when {count(self._sitting.runner.running, 'attempt')} at work can;"
            f" Ctrl-C again stops them now. Go on later with: -o {self._sitting.folder}"
        )
        return True

    async def run(self) -> int:
        board = Board(self._console)
        async with opened(self._wish, board, self._say) as sitting:
            self._sitting = sitting
            board.head = self._head
            board.doing = lambda key: sitting.meter.doing.get(key, "")
            self._say(f"{sitting.folder}: {self._what(sitting)}")
            self._tell_missing(sitting)
            painting = asyncio.create_task(self._paint(board))
            try:
                await sitting.work()
            finally:
                painting.cancel()
                self._console.block([])
        await asyncio.to_thread(write_report, sitting.folder)
        if self._console.json:
            self._console.document(self._document(sitting))
        else:
            self._summary(sitting)
        return 128 + signal.SIGINT if self._stopped else self._code(sitting)

    def _tell_missing(self, sitting: Sitting) -> None:
        """Says how much of a run that judges patches has none."""
        given = self._wish.given
        if given is None:
            return
        missing = len(sitting.manifest["tasks"].keys() - given.named)
        if given.tasks is None and missing:
            self._console.warn(
                f"{count(missing, 'task')} of {len(sitting.manifest['tasks'])} have no patch in"
                f" {given.source}, and count as not solved; --only-given leaves them out"
            )
        if given.lost:
            self._console.warn(
                f"{count(len(given.lost), 'attempt')} of the earlier run left no patch to judge"
                " through no fault of their own; they do not count"
            )

    def _say(self, text: str, *, always: bool = False) -> None:
        if always:
            self._console.warn(text)
        else:
            self._console.note(text, "dim")

    async def _paint(self, board: Board) -> None:
        while self._console.live:
            board.paint()
            await asyncio.sleep(EVERY)

    def _what(self, sitting: Sitting) -> str:
        tasks = count(len(sitting.manifest["tasks"]), "task")
        times = f", {self._wish.attempts} attempts each" if self._wish.attempts > 1 else ""
        left = f", {sitting.done_before} done already" if sitting.done_before else ""
        return f"{tasks}{times}{left}, up to {sitting.workers} at a time"

    def _head(self) -> list[str]:
        sitting = self._sitting
        if sitting is None:
            return []
        tally, runner = sitting.tally, sitting.runner
        left = sitting.total - tally.done
        here = tally.done - sitting.done_before
        passed = time.monotonic() - self._began
        cells = [
            f"{tally.done} of {sitting.total}",
            f"{runner.running} running",
            f"{left - runner.running} queued",
            f"{tally.solved} solved",
            f"{tally.unsolved} failed",
            f"{tally.infrastructure} infrastructure",
        ]
        if sitting.meter.turns:
            cells.append(f"{sitting.meter.written / passed:.0f} tokens/s")
        if sitting.pacer:
            load = sitting.pacer.load
            at_once = f"{runner.allowed} at a time"
            full = load.cache if load else None
            cells.append(at_once if full is None else f"{at_once}, cache {full:.0%}")
        if here:
            cells.append(f"{duration(passed * left / here)} left")
        return [" | ".join(cells)]

    def _code(self, sitting: Sitting) -> int:
        tally = sitting.tally
        if tally.done < sitting.total:
            return 1
        if self._wish.way == "gold":
            return 0 if tally.solved == sitting.total - tally.unsupported else 1
        if self._wish.way == "empty":
            return 0 if not tally.solved and not tally.infrastructure else 1
        return 0

    def _summary(self, sitting: Sitting) -> None:
        tally = sitting.tally
        judged = tally.done - tally.infrastructure - tally.unsupported
        share = f" ({100 * tally.solved / judged:.1f}%)" if judged else ""
        attempts = " attempts" if self._wish.attempts > 1 else ""
        self._console.say(f"{tally.solved} of {judged}{attempts} solved{share}", "bold")
        for status, number in sorted(tally.counts.items()):
            if status != "solved":
                self._console.say(f"  {number} {status}")
        if sitting.runner.limit:
            self._console.say(f"  {sitting.runner.limit}", "yellow")
        left = sitting.total - tally.done
        if left:
            again = f"the same command and -o {sitting.folder}"
            self._console.say(f"  {count(left, 'attempt')} left; go on with {again}", "yellow")
        spent = [f"{tally.tokens:,} tokens"] if tally.tokens else []
        if tally.cost:
            spent.append(f"${tally.cost:.4f}")
        spent.append(duration(time.monotonic() - self._began))
        self._console.note(f"{', '.join(spent)}; report: {sitting.folder / 'report.html'}", "dim")

    def _document(self, sitting: Sitting) -> dict[str, Any]:
        tally = sitting.tally
        return {
            "schema": "greenroom.bench/1",
            "folder": str(sitting.folder),
            "total": sitting.total,
            "done": tally.done,
            "counts": dict(tally.counts),
            "tokens": tally.tokens,
            "cost_usd": tally.cost,
            "retries": tally.retries,
            "seconds": round(time.monotonic() - self._began, 3),
            "limit": sitting.runner.limit,
            "manifest": sitting.manifest,
        }
