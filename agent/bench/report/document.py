"""report.json: the numbers of a run for programs (docs/json.md)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.bench.report.attempts import Attempt, RunFolder
from agent.bench.report.files import replaced
from agent.bench.report.summary import Summary

SCHEMA = "greenroom.report/1"


def write_document(run: RunFolder, summary: Summary, path: Path) -> None:
    """Writes report.json, one task a line, so that none but the one being written is in memory."""
    head = json.dumps(
        {
            "schema": SCHEMA,
            "suite": run.suite,
            "model": run.model,
            "finished": run.finished,
            "summary": summary_data(summary),
            "damages": run.damages,
            "manifest": run.manifest,
        },
        indent=2,
    )
    with replaced(path) as stream:
        stream.write(head.removesuffix("\n}") + ',\n  "tasks": [')
        for number, line in enumerate(_tasks(run)):
            stream.write(f"{',' if number else ''}\n    {line}")
        stream.write("\n  ]\n}\n")


def _tasks(run: RunFolder) -> Iterator[str]:
    for name, attempts in run.tasks.items():
        yield json.dumps({"task": name, "attempts": [_attempt(each) for each in attempts]})


def _attempt(attempt: Attempt) -> dict[str, Any]:
    data = asdict(attempt)
    del data["task"]
    return {"attempt": data.pop("number"), **data}


def summary_data(summary: Summary) -> Mapping[str, Any]:
    """The fields of a summary, with what counts apart."""
    return {**asdict(summary), "apart": summary.apart}
