"""What a parser of test output found, and the small things that parsers share."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tasks.task import FAILING, PASSING, Executed, Frame, TestResult

WORKSPACE = "/workspace"
MESSAGE_LIMIT = 2_000
DETAIL_LIMIT = 16_000
LINE_LIMIT = 4_000

_PYTHON_FRAME = re.compile(
    r'^ *File "(?P<path>[^"\n]+)", line (?P<line>\d{1,9}), in (?P<function>[^\n]+)\n'
    r"(?: {4}(?P<code>[^\n]*))?",
    re.MULTILINE,
)
_SCRIPT_FRAME = re.compile(
    r"^ {0,60}(?:at )?(?:(?P<function>[^\s(][^\n(]{0,200}) \()?(?:file://)?(?P<path>/[^\s():]+):(?P<line>\d{1,9}):\d+\)?",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Parsed:
    """Results by id in the order of the run, and what else the output said.

    `errors` kept tests from running. `ended` is false when the output breaks off or contradicts
    its own counts; `reason` then says so. `sessions` are the exit codes that the test programs
    announced themselves, and `unfinished` the tests that started and never ended, where the
    format has them.
    """

    results: Mapping[str, TestResult] = field(default_factory=lambda: MappingProxyType({}))
    errors: tuple[str, ...] = ()
    ended: bool = True
    reason: str = ""
    sessions: tuple[int, ...] = ()
    unfinished: tuple[str, ...] = ()
    executed: Mapping[str, tuple[Executed, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )


def by_id(results: Iterable[TestResult]) -> dict[str, TestResult]:
    """Results by id. Where two share an id, the worse one counts, and of two that are as bad the
    first: a later result betters none."""
    found: dict[str, TestResult] = {}
    for told in results:
        result = replace(told, id=test_id(told.id))
        known = found.get(result.id)
        if known is None or _badness(result) > _badness(known):
            found[result.id] = result
    return found


def _badness(result: TestResult) -> int:
    """Failed, silenced, passed: the worse, the more."""
    if result.status in FAILING:
        return 2
    return 0 if result.status in PASSING else 1


def test_id(text: str) -> str:
    """A test's id on one line: what tests call themselves must not look like lines of ours."""
    return clean(text).replace("\n", "\\n").replace("\r", "\\r")


def lines_of(data: bytes) -> list[str]:
    """The lines of an output, each cut where no sensible line goes on: patterns stay fast."""
    return [line[:LINE_LIMIT] for line in clean(data.decode("utf-8", "replace")).splitlines()]


def clean(text: str) -> str:
    """The text without lone surrogates, which no output could be encoded with."""
    return text.encode("utf-8", "replace").decode("utf-8")


def cut(text: str, limit: int) -> str:
    """The text, or its head and tail with a line between them that says what is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters cut ...\n{text[-half:]}"


def seconds(text: str | None) -> float:
    """A duration as reports write it (`0.25`, `1,234.5`); 0.0 for what is none."""
    try:
        value = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return value if 0.0 <= value < 1e9 else 0.0


def python_frames(text: str, root: str = WORKSPACE) -> tuple[Frame, ...]:
    """The workspace's frames of a Python traceback printed in `text`."""
    return tuple(
        Frame(
            match["path"].removeprefix(root + "/"),
            int(match["line"]),
            match["function"],
            match["code"] or "",
        )
        for match in _PYTHON_FRAME.finditer(text)
        if match["path"].startswith(root + "/") and "-packages/" not in match["path"]
    )


def script_frames(text: str, root: str = WORKSPACE) -> tuple[Frame, ...]:
    """The workspace's frames of a JavaScript stack printed in `text`, innermost last."""
    found = [
        Frame(
            match["path"].removeprefix(root + "/"), int(match["line"]), match["function"] or "", ""
        )
        for match in _SCRIPT_FRAME.finditer(text)
        if match["path"].startswith(root + "/") and "/node_modules/" not in match["path"]
    ]
    return tuple(reversed(found))
