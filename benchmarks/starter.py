"""Solves the starter suite with a model and prints what came of it.

    python benchmarks/starter.py -m embedded --seed 1 --seed 2 --seed 3

Every task is a `greenroom solve` of its own, from the command line, as a user would run it; so the
seconds include everything: loading the model, the tests, the clean room. Settings of the user and
GREENROOM_* variables play no part. What follows `--` is given to `greenroom solve` as it is.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.suites import starter

_GRACE = 300.0  # seconds beyond the time limit, for a model that is slow to load


@dataclass(frozen=True)
class Attempt:
    """One run of one task. `wall_seconds` is the whole process, `seconds` the attempt in it."""

    task: str
    kind: str
    size: int
    solvable: bool
    seed: int
    status: str
    grade: str | None
    reason: str
    wall_seconds: float
    seconds: float
    turns: int
    candidates: int

    @property
    def solved(self) -> bool:
        return self.status == "solved"

    @property
    def broken(self) -> bool:
        """Whether the harness failed, so that nothing is known about the model."""
        return self.status == "error"


def main() -> int:
    options = _options()
    print(f"model {options.model}; {_machine()}; Greenroom {_commit()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="greenroom-starter-") as scratch:
        state = options.keep.resolve() if options.keep else Path(scratch) / "state"
        command_line = CommandLine(
            Path(sys.executable).with_name("greenroom"), Path(scratch), state
        )
        attempts = []
        print(_HEADING, flush=True)
        for seed in options.seed or [1]:
            for name in options.task or starter.names():
                attempt = _attempt(command_line, name, seed, options)
                attempts.append(attempt)
                print(_row(attempt), flush=True)
    print(summary(attempts))
    if options.json:
        document = {"model": options.model, "machine": _machine(), "commit": _commit()}
        document["attempts"] = [asdict(attempt) for attempt in attempts]
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 3 if any(attempt.broken for attempt in attempts) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--seed", type=int, action="append", help="again for more (default: 1)")
    parser.add_argument(
        "--task",
        action="append",
        metavar="NAME",
        choices=starter.names(),
        help="again for more (default: all)",
    )
    parser.add_argument("--time-limit", type=float, default=300.0, help="seconds for each task")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there, too")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the runs in this folder")
    parser.add_argument("more", nargs="*", help="flags for `greenroom solve`, after --")
    return parser.parse_args()


class CommandLine:
    """The `greenroom` command, run in an empty folder with settings of its own."""

    def __init__(self, program: Path, folder: Path, state: Path) -> None:
        self._program = program
        self._folder = folder
        self._environment = {
            **{
                name: text for name, text in os.environ.items() if not name.startswith("GREENROOM_")
            },
            "XDG_STATE_HOME": str(state),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def document(self, words: Sequence[str], timeout: float) -> tuple[dict[str, Any] | None, str]:
        """The JSON document that the command prints, or None and what went wrong."""
        try:
            done = subprocess.run(
                [str(self._program), *words],
                env=self._environment,
                cwd=self._folder,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, f"still ran after {timeout:.0f} s"
        if done.returncode not in (0, 1) or not done.stdout.strip():
            # An error is one line; advice on what to do follows it, indented.
            said = [line for line in done.stderr.splitlines() if line[:1].strip()] or [""]
            return None, f"exit code {done.returncode}: {said[-1]}"
        document: dict[str, Any] = json.loads(done.stdout)
        return document, ""


def _attempt(
    command_line: CommandLine, name: str, seed: int, options: argparse.Namespace
) -> Attempt:
    words = ["solve", "--task", f"starter/{name}", "--model", options.model, "--json"]
    words += ["--seed", str(seed), "--time-limit", str(options.time_limit), *options.more]
    begun = time.monotonic()
    document, problem = command_line.document(words, options.time_limit + _GRACE)
    wall = time.monotonic() - begun
    candidates = 0
    if document:
        shown, _ = command_line.document(["show", document["run"], "--json"], _GRACE)
        candidates = sum(event["type"] == "candidate" for event in (shown or {}).get("events", ()))
    known = starter.metadata(name)
    return Attempt(
        task=name,
        kind=known.kind,
        size=known.size,
        solvable=known.solvable,
        seed=seed,
        status=document["status"] if document else "error",
        grade=document["grade"] if document else None,
        reason=document["reason"] if document else problem,
        wall_seconds=wall,
        seconds=document["seconds"] if document else wall,
        turns=document["turns"] if document else 0,
        candidates=candidates,
    )


_HEADING = (
    "| task | kind | lines | seed | result | seconds | turns | candidates |\n"
    "|------|------|------:|-----:|--------|--------:|------:|-----------:|"
)


def _row(attempt: Attempt) -> str:
    result = f"{attempt.status} ({attempt.grade})" if attempt.grade else attempt.status
    if attempt.broken:
        result += f": {attempt.reason}"
    cells = (
        attempt.task,
        attempt.kind,
        str(attempt.size or "-"),
        str(attempt.seed),
        result,
        f"{attempt.wall_seconds:.0f}",
        str(attempt.turns),
        str(attempt.candidates or "-"),
    )
    return f"| {' | '.join(cells)} |"


def summary(attempts: Sequence[Attempt]) -> str:
    """How many were solved, of the one-line defects and of all that can be, for each seed."""
    lines = []
    for seed in sorted({attempt.seed for attempt in attempts}):
        mine = [each for each in attempts if each.seed == seed and not each.broken]
        small = [each for each in mine if each.size == 1]
        solvable = [each for each in mine if each.solvable]
        slowest = max((each.wall_seconds for each in small if each.solved), default=0.0)
        lines.append(
            f"seed {seed}: {_share(small)} one-line defects solved (slowest {slowest:.0f} s), "
            f"{_share(solvable)} of all solvable tasks"
        )
        lines += [f"  solved, and must not be: {e.task}" for e in mine if e.solved > e.solvable]
    lines += [f"not measured: {e.task}, seed {e.seed}: {e.reason}" for e in attempts if e.broken]
    return "\n".join(lines)


def _share(attempts: Sequence[Attempt]) -> str:
    return f"{sum(attempt.solved for attempt in attempts)} of {len(attempts)}"


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}"


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "(no commit)"


if __name__ == "__main__":
    sys.exit(main())
