"""The indented lists of ticks and crosses that jest, vitest, mocha and node print."""

import re
from collections.abc import Iterable

from tasks.formats.parsed import MESSAGE_LIMIT, Parsed, by_id, cut, lines_of, seconds
from tasks.task import Status, TestResult

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FILE = re.compile(r"(PASS|FAIL)\s+(\S+\.[cm]?[jt]sx?)\b")
_MARKED = re.compile(r"( *)([✓✔√✕✖×✗○﹣↓]|-|\d{1,6}\)) +(\S.*)$")
_GROUP = re.compile(r"( +|▶ )(\S.*)$")
_TIME = re.compile(r"\s+\(?([\d.,]{1,12})\s?(ms|s)\)?(?: # (.*))?$")
_END = re.compile(
    r"Tests?:? +\d|Test Suites: |Test Files |✖ failing tests:|ℹ tests | +\d+ passing\b"
)
_PASSES = re.compile(
    r"^(?:Tests:? .{0,200}?(\d{1,9}) passed| {1,20}(\d{1,9}) passing\b|ℹ pass (\d{1,9}))",
    re.MULTILINE,
)
_FAILS = re.compile(
    r"^(?:Tests:? .{0,200}?(\d{1,9}) failed| {1,20}(\d{1,9}) failing\b|ℹ fail (\d{1,9}))",
    re.MULTILINE,
)
_BULLET = re.compile(r"^  ● (.+)\n\n((?:(?:    .*)?\n)+)", re.MULTILINE)
_STATUSES: dict[str, Status] = {
    **dict.fromkeys("✓✔√", "passed"),
    **dict.fromkeys("✕✖×✗", "failed"),
    **dict.fromkeys("○﹣↓-", "skipped"),
}


def looks_like_spec(text: str) -> bool:
    """Whether the text has a summary line as these programs print it."""
    return _PASSES.search(_COLOUR.sub("", text)) is not None or _FAILS.search(text) is not None


def parse_spec(data: bytes) -> Parsed:
    """Results with ids `file > group > test`, as far as each is printed.

    A file that lists no tests counts as one test of its name. Complete when the summary's counts
    of passing and failing tests are those of the list, where the tests are listed at all.
    """
    text = _COLOUR.sub("", "\n".join(lines_of(data)))
    files, listed = _read(text)
    told = {name: cut(body.strip(), MESSAGE_LIMIT) for name, body in _BULLET.findall(text)}
    results = [
        TestResult(id, status, duration, _told(told, id) if status == "failed" else "")
        for id, (status, duration) in listed.items()
    ]
    named = {id.split(" > ", 1)[0] for id in listed}
    alone = [TestResult(f, status) for f, status in files.items() if f not in named]
    reason = _unfinished(text, results if results and not alone else None)
    return Parsed(by_id([*alone, *results]), ended=not reason, reason=reason)


def _read(text: str) -> tuple[dict[str, Status], dict[str, tuple[Status, float]]]:
    files: dict[str, Status] = {}
    listed: dict[str, tuple[Status, float]] = {}
    groups: list[tuple[int, str]] = []
    for line in text.splitlines():
        if match := _FILE.match(line):
            files[match[2]] = "passed" if match[1] == "PASS" else "failed"
            groups = [(-1, match[2])]
        elif _END.match(line):
            groups = []
            if line.startswith(("✖", " ")):
                break  # node and mocha repeat their failing tests below
        elif (match := _MARKED.match(line)) and (match[1] or match[2] in "✓✔√✕✖×✗﹣"):
            indent = len(match[1])
            name, duration, note = _split_time(match[3])
            names = [group for depth, group in groups if depth < indent]
            status = _STATUSES.get(match[2], "failed")
            if note.startswith("TODO"):
                status = "xfailed" if status == "failed" else "xpassed"
            listed.setdefault(" > ".join([*names, name]), (status, duration))
        elif match := _GROUP.match(line):
            indent = 0 if match[1].startswith("▶") else len(match[1])
            name = _split_time(match[2].removeprefix("▶ "))[0]
            groups = [(depth, group) for depth, group in groups if depth < indent]
            groups.append((indent, name))
    return files, listed


def _split_time(name: str) -> tuple[str, float, str]:
    """A printed name as name, seconds, and the remark that node puts behind the time."""
    if match := _TIME.search(name):
        factor = 1.0 if match[2] == "s" else 0.001
        return name[: match.start()], seconds(match[1]) * factor, match[3] or ""
    return name, 0.0, ""


def _told(told: dict[str, str], id: str) -> str:
    """Jest explains `group › test` apart from the list, without the file's name."""
    parts = id.split(" > ")
    return told.get(" › ".join(parts[1:]), told.get(" › ".join(parts), ""))


def _unfinished(text: str, results: Iterable[TestResult] | None) -> str:
    passes, fails = _count(_PASSES, text), _count(_FAILS, text)
    if passes is None and fails is None:
        return "the test output has no summary"
    if results is None:
        return ""
    statuses = [result.status for result in results]
    found = (statuses.count("passed"), statuses.count("failed"))
    if found != (passes or 0, fails or 0):
        return (
            f"the summary counts {passes or 0} passing and {fails or 0} failing tests, "
            f"the list {found[0]} and {found[1]}"
        )
    return ""


def _count(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return int(next(group for group in match.groups() if group)) if match else None
