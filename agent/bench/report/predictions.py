"""A run in SWE-bench's own forms: the predictions, and the report of a run."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from agent.bench.report.attempts import Attempt, RunFolder
from agent.bench.report.files import replaced

#: Attempts that were judged by tests in a clean room, or refused for what they did to them.
_COMPLETED = ("solved", "failed", "tampered", "suspect")


def numbered(path: Path, number: int) -> Path:
    """The file for the attempts of that number: `x.jsonl` for the first, `x.2.jsonl` and so on,
    as one file of SWE-bench's has one patch a task."""
    return path if number == 1 else path.with_name(f"{path.stem}.{number}{path.suffix}")


class Predictions:
    """Takes the patch of each attempt as it comes."""

    def __init__(self, run: RunFolder, path: Path) -> None:
        self._run, self._path = run, path
        self._stack = ExitStack()
        self._streams: dict[int, IO[str]] = {}

    def add(self, attempt: Attempt, patch: bytes | None) -> None:
        """Writes one prediction. An attempt at a task that cannot be run here makes none, nor one
        that nothing was handed in for."""
        if attempt.status == "unsupported" or not self._run.handed_in(attempt):
            return
        stream = self._streams.get(attempt.number)
        if stream is None:
            stream = self._open(attempt.number)
        prediction = {
            "instance_id": attempt.task,
            "model_name_or_path": self._run.model,
            # Bytes that are no UTF-8 survive as lone surrogates, which Python's reader gives back.
            "model_patch": (patch or b"").decode("utf-8", "surrogateescape"),
        }
        stream.write(json.dumps(prediction) + "\n")

    def _open(self, number: int) -> IO[str]:
        stream = self._stack.enter_context(replaced(numbered(self._path, number)))
        self._streams[number] = stream
        return stream


@contextmanager
def predictions(run: RunFolder, path: Path) -> Iterator[Predictions]:
    """The predictions of a run, in place of older ones once all are written. There is a file of
    first attempts even where there is none."""
    made = Predictions(run, path)
    with made._stack:
        made._open(1)
        yield made


def write_run_report(run: RunFolder, path: Path) -> None:
    """Writes SWE-bench's report of a run, schema 2, for the attempts of each number."""
    for number in sorted({1, *(attempt.number for attempt in run.attempts)}):
        with replaced(numbered(path, number)) as stream:
            json.dump(run_report(run, number), stream, indent=4)
            stream.write("\n")


def run_report(run: RunFolder, number: int) -> dict[str, object]:
    """The fields of SWE-bench's report (harness/reporting.py) for the attempts of that number.

    What could not be run here, or was not yet, or was not handed in, is incomplete. A patch that
    does not apply and a failure of infrastructure are errors; the latter are named as such, too.
    """
    here = {
        name: attempt
        for name, attempts in run.tasks.items()
        for attempt in attempts
        if attempt.number == number and attempt.status != "unsupported" and run.handed_in(attempt)
    }
    broken = {
        name: attempt.reason or attempt.status
        for name, attempt in here.items()
        if attempt.status == "infrastructure failed"
    }
    ids: dict[str, list[str]] = {
        "completed": _named(here, _COMPLETED),
        "incomplete": sorted(run.tasks.keys() - here.keys()),
        "empty_patch": _named(here, ("no patch",)),
        "submitted": sorted(here),
        "resolved": _named(here, ("solved",)),
        "unresolved": _named(here, _COMPLETED[1:]),
        "infra_failure": sorted(broken),
        "ambiguous_failure": [],
        "error": _named(here, ("invalid patch", "infrastructure failed")),
    }
    counts = {f"{name}_instances": len(of) for name, of in ids.items() if name != "incomplete"}
    return {
        "total_instances": len(run.tasks),
        **counts,
        **{f"{name}_ids": of for name, of in ids.items()},
        "failure_reasons": dict(sorted(broken.items())),
        "schema_version": 2,
    }


def _named(attempts: dict[str, Attempt], statuses: Iterable[str]) -> list[str]:
    wanted = frozenset(statuses)
    return sorted(name for name, attempt in attempts.items() if attempt.status in wanted)
