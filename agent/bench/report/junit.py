"""report.xml: the run as JUnit XML, for the pages of a CI. A task that is not solved is a failure,
what broke down is an error, what cannot be run here is skipped."""

import re
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from agent.bench.report.attempts import Attempt, RunFolder
from agent.bench.report.files import replaced

#: What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {"infrastructure failed": "error", "unsupported": "skipped"}


def write_junit(run: RunFolder, path: Path) -> None:
    """Writes one suite with a case for each attempt."""
    attempts = list(run.attempts)
    kinds = Counter(_element(attempt) for attempt in attempts)
    seconds = sum(attempt.seconds for attempt in attempts)
    counts = _attributes(
        tests=len(attempts),
        failures=kinds["failure"],
        errors=kinds["error"],
        skipped=kinds["skipped"],
        time=f"{seconds:.3f}",
    )
    with replaced(path) as stream:
        stream.write('<?xml version="1.0" encoding="utf-8"?>\n')
        stream.write(f"<testsuites{_attributes(name='greenroom')}{counts}>\n")
        stream.write(f"<testsuite{_attributes(name=run.suite)}{counts}>\n")
        stream.writelines(_case(run, attempt) for attempt in attempts)
        stream.write("</testsuite>\n</testsuites>\n")


def _case(run: RunFolder, attempt: Attempt) -> str:
    name = attempt.task if run.planned == 1 else f"{attempt.task} (attempt {attempt.number})"
    head = _attributes(classname=run.suite, name=name, time=f"{attempt.seconds:.3f}")
    element = _element(attempt)
    if not element:
        return f"<testcase{head}/>\n"
    message = _attributes(message=attempt.reason or attempt.status)
    kind = "" if element == "skipped" else _attributes(type=attempt.status)
    text = escape(_clean(_told(attempt)))
    return f"<testcase{head}><{element}{kind}{message}>{text}</{element}></testcase>\n"


def _element(attempt: Attempt) -> str:
    return "" if attempt.solved else _ELEMENTS.get(attempt.status, "failure")


def _told(attempt: Attempt) -> str:
    lines = [f"{attempt.status}: {attempt.reason}"]
    if attempt.limit:
        lines.append(f"ended by its {attempt.limit} limit")
    if attempt.folder:
        lines.append(f"see {attempt.folder}")
    return "\n".join(lines)


def _attributes(**values: object) -> str:
    return "".join(f" {name}={quoteattr(_clean(str(value)))}" for name, value in values.items())


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
