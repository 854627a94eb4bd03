"""The text of `python -m unittest -v`, and of programs that print like it (Django's runner)."""

import re
from collections.abc import Iterable

from tasks.formats.parsed import (
    DETAIL_LIMIT,
    MESSAGE_LIMIT,
    Parsed,
    by_id,
    cut,
    lines_of,
    python_frames,
    seconds,
)
from tasks.task import Status, TestResult

_NAME = r"(?P<name>\w+) \((?P<owner>[\w.]+)\)"
_LINE = re.compile(rf"{_NAME}(?: \[[^\n]*\]| \([^\n]*\))?(?: \.\.\. |$)")
_OUTCOME = re.compile(
    r"(?:^|.*\.\.\. )(ok|FAIL|ERROR|expected failure|unexpected success|skipped (['\"])(.*)\2)$"
)
_SECTION = re.compile(
    rf"^={{70}}\n(FAIL|ERROR): {_NAME}[^\n]*\n(?:(?!-{{70}}\n)[^\n]*\n){{0,40}}?-{{70}}\n", re.M
)
_RAN = re.compile(r"^Ran (\d{1,9}) tests? in ([\d.]+)s\n\n(OK|FAILED|NO TESTS RAN)", re.MULTILINE)
_OUTCOMES: dict[str, Status] = {
    "ok": "passed",
    "FAIL": "failed",
    "ERROR": "error",
    "expected failure": "xfailed",
    "unexpected success": "failed",
}


def parse_unittest(data: bytes) -> Parsed:
    """Results with ids `module.Class.test`, from the lines of a verbose run.

    Complete when the summary counts as many tests as there are lines; so a run that printed dots
    only has no results and is not complete.
    """
    text = "\n".join(lines_of(data))
    head = text.partition("=" * 70)[0]
    details = dict(_sections(text))
    results = [_result(id, status, note, details) for id, status, note in _listed(head)]
    reason = ""
    summary = _RAN.search(text)
    if summary is None:
        reason = "the unittest run has no summary"
    elif int(summary[1]) != len(results):
        reason = f"the unittest summary counts {summary[1]} tests and {len(results)} were listed"
    return Parsed(by_id(results), tuple(_strangers(details, results)), not reason, reason)


def summary_seconds(text: str) -> float:
    """How long the run took by its own summary; 0.0 without one."""
    summary = _RAN.search(text)
    return seconds(summary[2]) if summary else 0.0


def _id(name: str, owner: str) -> str:
    """`module.Class.test`: since Python 3.11 the owner ends with the test's name already."""
    return owner if owner.endswith(f".{name}") else f"{owner}.{name}"


def _listed(head: str) -> Iterable[tuple[str, Status, str]]:
    """A test's line may be followed by its docstring and by what it prints before its outcome."""
    open_id = None
    for line in head.splitlines():
        if match := _LINE.match(line):
            open_id = _id(match["name"], match["owner"])
        outcome = _OUTCOME.match(line)
        if outcome and open_id is not None:
            yield open_id, _OUTCOMES.get(outcome[1], "skipped"), outcome[3] or ""
            open_id = None


def _sections(text: str) -> Iterable[tuple[str, str]]:
    starts = list(_SECTION.finditer(text))
    for number, start in enumerate(starts, 1):
        end = starts[number].start() if number < len(starts) else len(text)
        body = text[start.end() : end]
        yield (
            _id(start["name"], start["owner"]),
            re.split(r"^[-=]{70}$", body, flags=re.M)[0].strip(),
        )


def _result(id: str, status: Status, note: str, details: dict[str, str]) -> TestResult:
    detail = details.get(id, "")
    return TestResult(
        id=id,
        status=status,
        message=cut(note or _message(detail), MESSAGE_LIMIT),
        detail=cut(detail, DETAIL_LIMIT),
        frames=python_frames(detail),
    )


def _message(detail: str) -> str:
    """The exception and what follows it: what comes after the last indented line."""
    lines = detail.splitlines()
    indented = [number for number, line in enumerate(lines) if line.startswith("  ")]
    return "\n".join(lines[indented[-1] + 1 :] if indented else lines).strip()


def _strangers(details: dict[str, str], results: list[TestResult]) -> Iterable[str]:
    """Failures of what is no listed test: a module that cannot be imported, a class's set-up."""
    known = {result.id for result in results}
    for id, detail in details.items():
        if id not in known:
            yield f"{id}: {_message(detail)}"
