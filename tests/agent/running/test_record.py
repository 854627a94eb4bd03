"""The log of results, on a disk that is full."""

import os
from pathlib import Path

import pytest

from agent.bench import record
from agent.bench.record import Result, ResultLog


def test_a_line_that_the_disk_had_no_room_for_goes_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ResultLog(tmp_path / "results.jsonl")
    log.append(Result("a", 1, "solved"))
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda stream, data: write(stream, data[:20]))
        with pytest.raises(OSError, match="No space left"):
            log.append(Result("b", 1, "failed"))
    log.append(Result("b", 1, "solved"))
    log.close()
    assert [result.key for result in record.read(log.path)] == [("a", 1), ("b", 1)]
    assert all(result.solved for result in record.read(log.path))
