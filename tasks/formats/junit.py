"""JUnit XML, as Surefire, Gradle, jest-junit, pytest and many others write it."""

from collections.abc import Iterator
from io import BytesIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from tasks.formats.parsed import (
    DETAIL_LIMIT,
    MESSAGE_LIMIT,
    Parsed,
    by_id,
    clean,
    cut,
    python_frames,
    seconds,
)
from tasks.task import Status, TestResult

MAX_DEPTH = 50
_OUTCOMES: dict[str, Status] = {"failure": "failed", "error": "error", "skipped": "skipped"}


def parse_junit(data: bytes) -> Parsed:
    """Results of one report file; ids are `classname::name`, or the bare name.

    DTDs, entities and references outside are refused, and so is deep nesting; a file that breaks
    off keeps what was read and is marked as not ended.
    """
    results: list[TestResult] = []
    try:
        results.extend(_results(data))
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        return Parsed(
            by_id(results), ended=False, reason=f"the JUnit report is unreadable: {error}"
        )
    return Parsed(by_id(results))


def _results(data: bytes) -> Iterator[TestResult]:
    suites: list[str] = []
    depth = 0
    for event, element in iterparse(BytesIO(data), events=("start", "end"), forbid_dtd=True):
        name = element.tag.rpartition("}")[2]
        if event == "start":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"elements are nested deeper than {MAX_DEPTH}")
            if name == "testsuite":
                suites.append(element.get("name") or "")
            continue
        depth -= 1
        if name == "testsuite":
            suites.pop()
            element.clear()
        elif name == "testcase":
            yield _result(element, suites[-1] if suites else "")
            element.clear()


def _result(case: Element, suite: str) -> TestResult:
    owner = case.get("classname") or suite
    name = case.get("name") or "unnamed"
    status: Status = "passed"
    message = detail = ""
    for child in case:
        outcome = _OUTCOMES.get(child.tag.rpartition("}")[2])
        if outcome is not None and status in ("passed", "skipped"):
            status = outcome
            text = (child.text or "").strip()
            message = child.get("message") or text.partition("\n")[0]
            detail = text
    return TestResult(
        id=clean(f"{owner}::{name}" if owner else name),
        status=status,
        seconds=seconds(case.get("time")),
        message=cut(clean(message), MESSAGE_LIMIT),
        detail=cut(clean(detail), DETAIL_LIMIT),
        frames=python_frames(detail),
        file=case.get("file"),
    )
