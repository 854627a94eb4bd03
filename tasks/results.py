"""One run of a test command made into a report: which parser reads it, and whether it is whole."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sandbox.results import CommandResult, signal_name
from tasks.formats.cargo import parse_cargo
from tasks.formats.events import parse_events
from tasks.formats.gotest import parse_go
from tasks.formats.junit import parse_junit
from tasks.formats.parsed import Parsed, by_id, clean, cut
from tasks.formats.spec_text import looks_like_spec, parse_spec
from tasks.formats.swebench import PREFIX, parse_log, renamed
from tasks.formats.tap import looks_like_tap, parse_tap
from tasks.formats.unittest_text import parse_unittest
from tasks.task import FAILING, TestReport, TestResult

OUTPUT_LIMIT = 64 << 10
LAST_LINES = 30
# Frameworks whose every test reports through a plugin of ours: their text proves nothing.
REPORTING = frozenset({"pytest", "unittest"})
# Frameworks that print each result, whatever report the code under test writes beside.
_PRINTING = frozenset({"go", "cargo"})
NO_TESTS_COLLECTED = 5  # pytest's exit code, and unittest's since Python 3.12


@dataclass(frozen=True)
class TestRun:
    """A test command that has ended. `junit` are the contents of report files that it wrote,
    `naming` is as in `tasks.task.Checks`."""

    __test__ = False

    command: str
    framework: str
    result: CommandResult
    timeout: float
    junit: tuple[bytes, ...] = ()
    naming: str = ""


def report_of(run: TestRun, only: Sequence[str] | None = None) -> TestReport:
    """The report of a run; with `only`, of those ids of it, an id without its values (in brackets)
    standing for all cases of a test.

    Never raises for what a test program printed or sent: what cannot be read makes the report
    incomplete, with a reason.
    """
    parsed = _parse(run)
    if run.naming:
        parsed = renamed(parsed, run.naming, run.result.output.text)
    reason = _reason(run, parsed)
    results = parsed.results
    if only is not None:
        wanted = set(only)
        results = {
            id: result
            for id, result in results.items()
            if id in wanted or id.partition("[")[0] in wanted
        }
    return TestReport(
        results=results,
        complete=not reason,
        command=run.command,
        framework=run.framework,
        errors=parsed.errors,
        exit_code=run.result.exit_code,
        reason=_sentence(reason),
        output=cut(clean(run.result.output.text), OUTPUT_LIMIT),
        seconds=run.result.seconds,
        max_rss_bytes=run.result.max_rss_bytes,
        executed=parsed.executed,
    )


def _parse(run: TestRun) -> Parsed:
    if run.result.events:
        parsed = parse_events(run.result.events)
        if run.result.events_total > len(run.result.events):
            parsed = replace(parsed, ended=False, reason="the tests sent more events than are kept")
        return parsed if parsed.results or parsed.sessions else _unstarted(run, parsed)
    if run.framework in REPORTING:
        return _unstarted(run, Parsed(ended=False, reason="no test session reported"))
    if run.junit and run.framework not in _PRINTING:
        return _joined([parse_junit(data) for data in run.junit])
    output = run.result.output
    if run.framework.startswith(PREFIX):
        return parse_log(run.framework, output.text)
    parser = _text_parser(run.framework, output.text)
    if parser is not None:
        parsed = parser(output.head + output.tail)
        if output.truncated and parsed.results:
            reason = f"only part of the {output.total:,} bytes that the tests printed was kept"
            parsed = replace(parsed, ended=False, reason=reason)
        if parsed.results or parsed.errors:
            return parsed
    return _whole_command(run)


def _text_parser(framework: str, text: str) -> Callable[[bytes], Parsed] | None:
    if framework == "go" or re.search(r'^\{"(Time|Action|ImportPath)":', text, re.MULTILINE):
        return parse_go
    if framework == "cargo" or re.search(r"^test result: (ok|FAILED)\. ", text, re.MULTILINE):
        return parse_cargo
    if looks_like_tap(text):
        return parse_tap
    if re.search(r"^Ran \d+ tests? in ", text, re.MULTILINE):
        # Without -v only failures have names: such a run counts as one test, the command.
        return parse_unittest if parse_unittest(text.encode("utf-8", "replace")).ended else None
    return parse_spec if looks_like_spec(text) else None


def _unstarted(run: TestRun, parsed: Parsed) -> Parsed:
    """A test program that stopped before its first test: its last lines are the error."""
    text = _last_lines(run.result.output.text)
    return replace(parsed, errors=(*parsed.errors, text)) if text else parsed


def _whole_command(run: TestRun) -> Parsed:
    """The one test that every command is: it fails or not."""
    passed = run.result.ok
    message = "" if passed else _last_lines(run.result.output.text)
    result = TestResult(run.command, "passed" if passed else "failed", run.result.seconds, message)
    return Parsed({result.id: result})


def _joined(parts: Sequence[Parsed]) -> Parsed:
    return Parsed(
        results=by_id(result for part in parts for result in part.results.values()),
        errors=tuple(error for part in parts for error in part.errors),
        ended=all(part.ended for part in parts),
        reason="; ".join(part.reason for part in parts if part.reason),
    )


def _reason(run: TestRun, parsed: Parsed) -> str:
    """Why the run is not whole; empty when it is."""
    result = run.result
    if result.reason == "timeout":
        return f"the tests did not end within {run.timeout:g} seconds{_culprit(parsed)}"
    if result.reason == "memory":
        return f"the tests were killed for want of memory{_culprit(parsed)}"
    if result.reason == "output":
        return "the tests were ended because they printed without end"
    if result.signal is not None:
        return f"the test command was killed by {signal_name(result.signal)}"
    if not parsed.ended:
        return parsed.reason or "the test output breaks off"
    return _contradiction(result.exit_code or 0, parsed)


def _contradiction(exit_code: int, parsed: Parsed) -> str:
    bad = [r.id for r in parsed.results.values() if r.status in FAILING]
    if not parsed.results and not parsed.errors:
        return (
            "no tests were found"
            if exit_code in (0, NO_TESTS_COLLECTED)
            else (f"the test command ended with exit code {exit_code} without running a test")
        )
    if exit_code == 0 and (bad or parsed.errors or any(parsed.sessions)):
        what = bad[0] if bad else "the test session"
        return f"the exit code is 0 although {what} failed"
    if exit_code != 0 and not bad and not parsed.errors:
        if set(parsed.sessions) == {NO_TESTS_COLLECTED}:
            return "no tests were run"
        return f"the exit code is {exit_code} although no test failed"
    return ""


def _culprit(parsed: Parsed) -> str:
    return f"; {parsed.unfinished[-1]} was running" if parsed.unfinished else ""


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:].removesuffix('.')}." if reason else ""


def _last_lines(text: str) -> str:
    lines = [line for line in clean(text).rstrip().splitlines() if line.strip()]
    return cut("\n".join(lines[-LAST_LINES:]), 4_000)
