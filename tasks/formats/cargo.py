"""The text that `cargo test` prints."""

import re
from collections.abc import Iterable

from tasks.formats.parsed import DETAIL_LIMIT, MESSAGE_LIMIT, Parsed, by_id, cut, lines_of
from tasks.task import Frame, Status, TestResult

_BINARY = re.compile(r"\s+(?:Running (?:unittests )?(\S+)(?: \(.*\))?|Doc-tests (\S+))\s*$")
_TEST = re.compile(r"test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)\b.*$")
_RUNNING = re.compile(r"running \d+ tests?$")
_SUMMARY = re.compile(r"test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored")
_SECTION = re.compile(r"---- (.+?) stdout ----$")
_PANIC = re.compile(r"panicked at (?:'.*', )?([^\s:']+\.rs):(\d{1,9}):\d+")
_FAILED = re.compile(r"test failed, to rerun|\d+ targets? failed:$")  # tests failed, not the build
_OUTCOMES: dict[str, Status] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}


def parse_cargo(data: bytes) -> Parsed:
    """Results with ids `binary::path::to::test`; the binary is its source file, or `doc`.

    Complete when each group of tests came to its summary and the summary's counts are the group's.
    """
    lines = lines_of(data)
    results: list[TestResult] = []
    group: list[tuple[str, Status]] = []
    details: dict[str, list[str]] = {}
    binary, section, reason = "", None, ""
    open_group = False
    for line in lines:
        if match := _BINARY.match(line):
            binary = match[1] or "doc"
        elif _RUNNING.match(line):
            group, details, section, open_group = [], {}, None, True
        elif match := _SUMMARY.match(line):
            results.extend(_results(binary, group, details))
            if sorted(map(int, match.groups())) != sorted(_counts(group)):
                reason = f"the counts of {binary or 'a group of tests'} do not add up"
            group, open_group, section = [], False, None
        elif match := _SECTION.match(line):
            section = match[1]
        elif line == "failures:":
            section = None
        elif section is not None:
            details.setdefault(section, []).append(line)
        elif match := _TEST.match(line):
            group.append((match[1], _OUTCOMES[match[2]]))
    results.extend(_results(binary, group, details))
    if open_group:
        reason = f"the tests of {binary or 'a binary'} did not end"
    return Parsed(by_id(results), tuple(_errors(lines)), ended=not reason, reason=reason)


def _counts(group: list[tuple[str, Status]]) -> list[int]:
    return [sum(status == wanted for _, status in group) for wanted in _OUTCOMES.values()]


def _results(
    binary: str, group: list[tuple[str, Status]], details: dict[str, list[str]]
) -> Iterable[TestResult]:
    for name, status in group:
        text = "\n".join(details.get(name, [])).strip()
        panics = _PANIC.finditer(text)
        yield TestResult(
            id=f"{binary}::{name}" if binary else name,
            status=status,
            message=cut(_message(text), MESSAGE_LIMIT),
            detail=cut(text, DETAIL_LIMIT),
            frames=tuple(Frame(match[1], int(match[2]), name, "") for match in panics),
        )


def _message(text: str) -> str:
    """What a panic says: without the thread's name, and without the hint on backtraces."""
    lines = [line for line in text.splitlines() if not line.startswith("note: run with")]
    if len(lines) > 1 and lines[0].startswith("thread ") and lines[0].endswith(":"):
        lines = lines[1:]
    return "\n".join(lines).strip()


def _errors(lines: list[str]) -> Iterable[str]:
    """Each compiler error with the place that its next lines name."""
    for number, line in enumerate(lines):
        if re.match(r"error(\[E\d+\])?: ", line) and not _FAILED.search(line):
            arrows = (n.strip() for n in lines[number + 1 : number + 4] if "-->" in n)
            yield " ".join([line, *arrows])
