"""run_tests: the task's own tests, and a bounded account of what they said."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tasks.runner import run_tests
from tasks.task import FAILING, Status, TestReport, TestResult
from tools.arguments import nearest
from tools.bounds import bound_text, clip_line, count
from tools.tool import Tool, ToolContext, ToolResult

_MOST_DETAILED = 8
_MOST_LISTED = 40
_DETAIL_CHARACTERS = 2_500
_FRAMES = 4
_SHARE_OF_DETAILS = 0.6  # of what is left: the rest of the failing tests are listed at least
_ORDER: tuple[Status, ...] = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


async def _run_tests(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    wanted: list[str] = arguments.get("tests") or []
    checks = context.task.checks
    before = context.last_report
    known = list(before.results) if before is not None else list(checks.expected)
    only = _selected(wanted, known)
    report = await run_tests(
        context.box,
        checks,
        only=only or None,
        quick=not wanted and checks.quick_test_command is not None,
        on_output=context.on_output,
    )
    text = report_text(report, context.limits.output_characters, before=before)
    if wanted:
        text += _not_run(wanted, only, report, known)
    else:
        context.last_report = context.fresh_report = report
    return ToolResult(text, data={"report": report, "selected": tuple(only)})


def _selected(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The ids that are asked for: a file or class stands for all of its tests, a bare name for
    the test of that name. An id that is not known is kept: the test may be new."""
    ids: dict[str, None] = {}
    for name in wanted:
        if name in known:
            ids[name] = None
            continue
        below = [id for id in known if id.startswith((f"{name}::", f"{name}[", f"{name}/"))]
        named = [id for id in known if id.endswith((f"::{name}", f".{name}", f"/{name}"))]
        ids.update(dict.fromkeys(below or named or [name]))
    return list(ids)


def report_text(report: TestReport, limit: int, *, before: TestReport | None = None) -> str:
    """A test run for a model, in about `limit` characters: the counts, each failing test with its
    message and innermost frames, what kept tests from running, and what changed since `before`.
    """
    parts = [_head(report)]
    parts += _changes(report, before)
    failing = [result for result in report.results.values() if result.status in FAILING]
    named = tuple(f"{result.id} " for result in failing)
    errors = [error for error in report.errors if not error.startswith(named)]
    for error in errors[:_MOST_DETAILED]:
        parts.append(f"ERROR: {bound_text(error, _DETAIL_CHARACTERS, 'it is long')}")
    left = limit - sum(len(part) for part in parts)
    detailed = 0
    for result in failing[:_MOST_DETAILED]:
        part = _failure(result, full=len(failing) == 1)
        if detailed and len(part) > left * _SHARE_OF_DETAILS:
            break
        parts.append(part)
        left -= len(part)
        detailed += 1
    if len(failing) > detailed:
        parts.append(_rest(failing[detailed:], left))
    if not report.results or (not report.complete and not failing):
        parts.append("Output of the command:\n" + _output(report))
    return bound_text("\n".join(parts), limit + 1_000, "give tests to run_tests to see fewer")


def _head(report: TestReport) -> str:
    counts = Counter(result.status for result in report.results.values())
    said = ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status])
    command = clip_line(report.command, 200)
    head = f"{said or 'No test was run'} in {report.seconds:.1f} s (`{command}`)."
    if not report.complete:
        head += f"\nThe run is not complete: {report.reason or 'it did not come to its end'}."
    elif report.green:
        head += " All passed."
    return head


def _changes(report: TestReport, before: TestReport | None) -> list[str]:
    if before is None:
        return []
    was, now = set(before.failing), set(report.failing)
    passed = [id for id in report.passed if id in was]
    failed = [id for id in report.failing if id in before.results and id not in was]
    parts = []
    if passed:
        parts.append("Passing now: " + _ids(passed))
    if failed:
        parts.append("Failing now, not before: " + _ids(failed))
    if now and now == was:
        parts.append("The same tests fail as in the run before.")
    return parts


def _ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _MOST_LISTED} more" if len(ids) > _MOST_LISTED else ""
    return ", ".join(ids[:_MOST_LISTED]) + more


def _failure(result: TestResult, *, full: bool) -> str:
    """One failing test: its message and innermost frames; the whole account instead of the
    message when it is the only one."""
    lines = [f"\n{result.status.upper()} {result.id}"]
    if (full and result.detail) or not result.message:
        lines.append(_indented(bound_text(result.detail, _DETAIL_CHARACTERS, "it is long")))
    else:
        lines.append(_indented(bound_text(result.message, _DETAIL_CHARACTERS // 2, "it is long")))
    for frame in result.frames[-_FRAMES:]:
        lines.append(f"  at {frame.path}:{frame.line} in {frame.function}: {frame.code.strip()}")
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else line for line in text.rstrip().split("\n"))


def _rest(failing: Sequence[TestResult], room: int) -> str:
    """The failing tests that are not told in detail, in about `room` characters."""
    lines = [f"\n{count(len(failing), 'more failing test')}:"]
    for result in failing:
        first = result.message.strip().split("\n", 1)[0]
        lines.append(f"  {result.id}" + (f": {clip_line(first, 120)}" if first else ""))
        room -= len(lines[-1])
        if room <= 0:
            break
    if len(failing) > len(lines) - 1:
        lines.append(f"  and {len(failing) - len(lines) + 1} more")
    return "\n".join(lines)


def _output(report: TestReport) -> str:
    return bound_text(report.output.strip() or "(none)", 4_000, "run it with shell to see all")


def _not_run(
    wanted: Sequence[str], only: Sequence[str], report: TestReport, known: Sequence[str]
) -> str:
    """What to say of tests that were asked for and did not run: the ids that are near."""
    said = []
    for name in (name for name in wanted if name in only and name not in report.results):
        near = nearest(name, known)
        meant = f" The nearest known: {', '.join(near)}." if near else ""
        said.append(f"\nNo test {name} was run; give ids as a test run shows them.{meant}")
    return "".join(said[:_MOST_DETAILED])


def run_tests_tool() -> Tool:
    """`run_tests(tests?)`."""
    return Tool(
        "run_tests",
        "Run the project's tests and get the failing ones with their messages. Call it after each "
        "change. Without arguments all tests run; give ids of single tests to run only those.",
        {
            "type": "object",
            "properties": {
                "tests": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "Ids as a test run shows them, or files. Default: all tests.",
                }
            },
            "required": [],
            "additionalProperties": False,
        },
        _run_tests,
        aliases={"test": "tests", "ids": "tests", "test_ids": "tests"},
        other_names=("test", "run_test"),
    )
