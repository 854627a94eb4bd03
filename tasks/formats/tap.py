"""The Test Anything Protocol, versions 12 to 14, with indented subtests as node and tape write."""

import re
from dataclasses import dataclass, field

from tasks.formats.parsed import (
    DETAIL_LIMIT,
    MESSAGE_LIMIT,
    Parsed,
    by_id,
    cut,
    lines_of,
    script_frames,
    seconds,
)
from tasks.task import Status, TestResult

_POINT = re.compile(r"( *)(not )?ok\b(?: +(\d{1,9}))?(?: *- )? *(.*)$")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(SKIP|TODO)\S*\s*(.*)$", re.IGNORECASE)
_PLAN = re.compile(r"( *)1\.\.(\d{1,9})\b")
_BAIL = re.compile(r" *Bail out!\s*(.*)$")
_FIELD = re.compile(r"\s*(\w+):\s*(.*)$")
DEEPEST = 200  # columns of indentation that count
_BLOCK_STARTS = ("|-", "|", ">-", ">")


@dataclass
class _Point:
    """A test point; `children` are those of its subtest, printed before it."""

    name: str
    status: Status
    indent: int
    note: str = ""
    block: list[str] = field(default_factory=list)
    children: list["_Point"] = field(default_factory=list)


def looks_like_tap(text: str) -> bool:
    """Whether the text has a plan or a version line, and a test point."""
    plan = re.search(r"^(TAP version \d+|1\.\.\d+)\b", text, re.MULTILINE)
    return plan is not None and re.search(r"^(not )?ok\b", text, re.MULTILINE) is not None


def parse_tap(data: bytes) -> Parsed:
    """Results of the innermost test points; ids join the names from outside in with ` > `.

    A subtest's own point counts only when it failed although nothing inside did. Complete when the
    plan is there and as many points as it says.
    """
    roots: list[_Point] = []
    waiting: list[_Point] = []
    plan: int | None = None
    bail = ""
    block: _Point | None = None
    for line in lines_of(data):
        last = waiting[-1] if waiting else None
        if block is not None:
            if line.strip() == "...":
                block = None
            else:
                block.block.append(line)
        elif line.strip() == "---" and last is not None:
            block = last
        elif match := _BAIL.match(line):
            bail = match[1] or "no reason given"
        elif (match := _PLAN.match(line)) and not match[1]:
            plan = int(match[2])
        elif match := _POINT.match(line):
            point = _point(match)
            while waiting and waiting[-1].indent > point.indent:
                point.children.insert(0, waiting.pop())
            waiting.append(point)
    roots = [point for point in waiting if point.indent == 0]
    reason = _unfinished(plan, roots, bail)
    # Points whose parent never came still count: the run broke off inside a subtest.
    results = [result for point in waiting for result in _results(point, ())]
    errors = (f"The tests bailed out: {bail}",) if bail else ()
    return Parsed(by_id(results), errors, ended=not reason, reason=reason)


def _point(match: re.Match[str]) -> _Point:
    name = match[4]
    status: Status = "failed" if match[2] else "passed"
    note = ""
    if directive := _DIRECTIVE.search(name):
        name, note = name[: directive.start()], directive[2]
        if directive[1].upper() == "SKIP":
            status = "skipped"
        else:
            status = "xfailed" if match[2] else "xpassed"
    name = name.replace("\\#", "#").strip() or f"test {match[3] or 'without a name'}"
    return _Point(name, status, min(len(match[1]), DEEPEST), note)


def _unfinished(plan: int | None, roots: list[_Point], bail: str) -> str:
    if bail:
        return f"the tests bailed out: {bail}"
    if plan is None:
        return "the TAP output has no plan"
    if plan != len(roots):
        return f"the TAP plan says {plan} tests and {len(roots)} were reported"
    return ""


def _results(point: _Point, owners: tuple[str, ...]) -> list[TestResult]:
    below = [
        result for child in point.children for result in _results(child, (*owners, point.name))
    ]
    failed_inside = any(result.status == "failed" for result in below)
    if below and (point.status != "failed" or failed_inside):
        return below
    fields = _fields(point.block)
    block = "\n".join(point.block)
    message = fields.get("error") or fields.get("message") or point.note
    duration = seconds(fields.get("duration_ms")) / 1000
    own = TestResult(
        id=" > ".join((*owners, point.name)),
        status=point.status,
        seconds=duration,
        message=cut(message, MESSAGE_LIMIT),
        detail=cut(block, DETAIL_LIMIT) if point.status == "failed" else "",
        frames=script_frames(block) if point.status == "failed" else (),
    )
    return [*below, own]


def _fields(block: list[str]) -> dict[str, str]:
    """The top-level fields of a diagnostic block, read leniently: it is YAML by convention only."""
    fields: dict[str, str] = {}
    margin = min((len(line) - len(line.lstrip()) for line in block if line.strip()), default=0)
    open_field = None
    for line in block:
        match = _FIELD.match(line)
        if match and len(line) - len(line.lstrip()) == margin:
            value = match[2].strip()
            open_field = match[1] if value in _BLOCK_STARTS else None
            fields[match[1]] = "" if open_field else value.strip("'\"")
        elif open_field is not None:
            fields[open_field] = f"{fields[open_field]}\n{line.strip()}".strip()
    return fields
