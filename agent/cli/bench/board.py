"""How a benchmark run is shown while it runs: a table on a terminal, a line a task elsewhere."""

import time
from collections.abc import Callable, Sequence

from agent.bench.job import Job
from agent.bench.record import Result
from agent.cli.console import Console
from agent.cli.text import count, duration, one_line

#: The style of a result by its status; the model's failures are plain.
_STYLES = {
    "solved": "green",
    "tampered": "red",
    "suspect": "yellow",
    "infrastructure failed": "yellow",
    "unsupported": "yellow",
}
_SHOWN = 8
EVERY = 0.5  # seconds between two paintings


class Board:
    """Is told what happens to a run, and prints it. `head` gives the lines of the table's top,
    `doing` what an attempt does now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.head: Callable[[], Sequence[str]] = tuple
        self.doing: Callable[[tuple[str, int]], str] = lambda _key: ""
        self._since: dict[tuple[str, int], float] = {}

    def started(self, job: Job) -> None:
        self._since[job.key] = time.monotonic()

    def retried(self, job: Job, reason: str, seconds: float) -> None:
        self._since.pop(job.key, None)
        said = one_line(reason, 160)
        self._console.note(f"{_named(job.key)}: {said}; again in {duration(seconds)}", "yellow")

    def paused(self, job: Job) -> None:
        self._since.pop(job.key, None)
        self._console.note(f"{_named(job.key)}: stopped between two turns", "dim")

    def ended(self, result: Result) -> None:
        self._since.pop(result.key, None)
        grade = f" ({result.grade})" if result.grade else ""
        spent = [duration(result.seconds)]
        if result.turns:
            spent.insert(0, count(result.turns, "turn"))
        why = "" if result.grade else f": {one_line(result.reason, 120)}"
        told = f"{_named(result.key)}: {result.status}{grade}, {', '.join(spent)}{why}"
        self._console.note(told, _STYLES.get(result.status, ""))

    def paint(self) -> None:
        """Shows the table as it is now."""
        now = time.monotonic()
        lines = [(line, "") for line in self.head()]
        running = sorted(self._since.items(), key=lambda each: each[1])
        for key, since in running[:_SHOWN]:
            cells = (_named(key), duration(now - since), self.doing(key))
            lines.append((f"  {'  '.join(filter(None, cells))}", "dim"))
        if len(running) > _SHOWN:
            lines.append((f"  and {len(running) - _SHOWN} more", "dim"))
        self._console.block(lines)


def _named(key: tuple[str, int]) -> str:
    task, attempt = key
    return task if attempt == 1 else f"{task} #{attempt}"
