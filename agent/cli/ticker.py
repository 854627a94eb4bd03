"""How a test run stands, shown while it runs: a status line, or a plain line now and then."""

from agent.cli.console import Console
from agent.cli.text import duration, one_line
from tasks.tally import TestProgress

EVERY = 15.0  # seconds between two lines where there is no terminal


class Ticker:
    """Shows the progress of one test run after another."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = EVERY

    def __call__(self, progress: TestProgress) -> None:
        if self._console.live:
            self._console.status(told(progress))
        elif self.due(progress):
            self._console.note(f"  {told(progress)}", "dim")

    def due(self, progress: TestProgress) -> bool:
        """Whether it is time for a line."""
        if progress.seconds < self._next - EVERY:  # another run
            self._next = EVERY
        if progress.seconds < self._next:
            return False
        self._next = progress.seconds + EVERY
        return True


def told(progress: TestProgress) -> str:
    """How a run stands, in a line: `412 of 900 tests, 3 failing, 12 s: tests/test_x.py::test_y`."""
    parts = []
    if progress.done or progress.total:
        of = f" of {progress.total:,}" if progress.total else ""
        parts += [f"{progress.done:,}{of} tests"]
        parts += [f"{progress.failing:,} failing"] if progress.failing else []
    parts.append(duration(progress.seconds))
    running = f": {one_line(progress.running, 100)}" if progress.running else ""
    return ", ".join(parts) + running
