from collections.abc import Callable
from pathlib import Path

import pytest

from agent.bench.record import Result
from tests.agent.bench_report.sample import manifest, write_manifest, write_results

Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Writes a run's folder of these results, each a task of its own unless it says otherwise."""

    def make(*results: Result, attempts: int = 1, tasks: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / "run"
        names = sorted({*tasks, *(result.task for result in results)})
        write_manifest(folder, manifest(names, attempts))
        if results:
            write_results(folder, list(results))
        return folder

    return make
