"""The report of a benchmark run, for people and for programs."""

from collections.abc import Iterator
from pathlib import Path

from agent.bench.report.attempts import Attempt, RunFolder, open_run
from agent.bench.report.document import write_document
from agent.bench.report.evidence import Evidence, evidence
from agent.bench.report.junit import write_junit
from agent.bench.report.page import write_page
from agent.bench.report.predictions import Predictions, predictions, write_run_report
from agent.bench.report.summary import Summary, summarise


def write_report(folder: Path) -> None:
    """Writes into a run's folder report.html, report.json, report.xml (JUnit), predictions.jsonl
    and swebench.json (both in SWE-bench's form), from its manifest, its log of results and what its
    attempts left. The run may go on meanwhile. Raises OSError where the folder cannot be written.
    """
    report(folder)


def report(folder: Path) -> tuple[RunFolder, Summary]:
    """As `write_report`; returns what was read, the damages of attempts included."""
    run = open_run(folder)
    summary = summarise(run)
    with predictions(run, folder / "predictions.jsonl") as made:
        write_page(run, summary, _read(run, made), folder / "report.html")
    write_document(run, summary, folder / "report.json")
    write_run_report(run, folder / "swebench.json")
    write_junit(run, folder / "report.xml")
    return run, summary


def _read(run: RunFolder, made: Predictions) -> Iterator[tuple[Attempt, Evidence]]:
    """What each attempt left, one at a time; its patch goes to the predictions on the way, and what
    of it cannot be read to the run's damages."""
    for attempt in run.attempts:
        found = evidence(run, attempt)
        made.add(attempt, found.patch)
        named = f"{attempt.task}, attempt {attempt.number}"
        run.damages.extend(f"{named}: {problem}" for problem in found.problems)
        yield attempt, found
