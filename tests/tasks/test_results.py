import json
from typing import Any

from sandbox.results import CommandResult, Output, Reason
from tasks.results import TestRun, report_of
from tasks.task import TestReport


def ended(
    output: str = "",
    exit_code: int | None = 0,
    events: bytes = b"",
    reason: Reason = "exit",
    signal: int | None = None,
    lost: int = 0,
) -> CommandResult:
    data = output.encode()
    return CommandResult(
        exit_code=exit_code,
        signal=signal,
        reason=reason,
        output=Output(data, b"", len(data)),
        seconds=1.5,
        cpu_seconds=1.0,
        max_rss_bytes=1 << 20,
        events=events,
        events_total=len(events) + lost,
    )


def session(statuses: dict[str, str], exit_code: int | None = 0) -> bytes:
    events: list[dict[str, Any]] = [{"e": "start"}, {"e": "collected", "ids": list(statuses)}]
    for id, status in statuses.items():
        events.append({"e": "run", "id": id})
        if status != "running":
            events.append({"e": "test", "id": id, "status": status})
    if exit_code is not None:
        events.append({"e": "end", "exit": exit_code})
    return "".join(json.dumps({"s": 1, **event}) + "\n" for event in events).encode()


def report(result: CommandResult, framework: str = "pytest", **more: Any) -> TestReport:
    return report_of(TestRun("the command", framework, result, 60.0, **more))


def test_a_session_that_passed_is_green() -> None:
    found = report(ended(events=session({"a": "passed", "b": "skipped"})))
    assert found.complete
    assert found.green
    assert found.passed == ("a",)
    assert (found.seconds, found.max_rss_bytes) == (1.5, 1 << 20)


def test_a_session_that_failed_is_complete_and_not_green() -> None:
    found = report(ended(exit_code=1, events=session({"a": "passed", "b": "failed"}, 1)))
    assert found.complete
    assert not found.green
    assert found.failing == ("b",)


def test_an_exit_code_of_zero_does_not_hide_a_failing_test() -> None:
    found = report(ended(exit_code=0, events=session({"a": "failed"}, 1)))
    assert found.reason == "The exit code is 0 although a failed."


def test_a_failing_exit_code_without_a_failing_test_is_incomplete() -> None:
    found = report(ended(exit_code=3, events=session({"a": "passed"})))
    assert found.reason == "The exit code is 3 although no test failed."


def test_a_session_cut_short_with_exit_code_zero_is_incomplete() -> None:
    events = session({"a": "passed", "b": "running"}, None)
    found = report(ended(exit_code=0, events=events))
    assert not found.complete
    assert found.reason == (
        "The test process ended while b was running without finishing its session."
    )


def test_a_session_that_was_never_announced_is_incomplete() -> None:
    found = report(ended("1 passed in 0.01s\n", exit_code=0))
    assert not found.complete
    assert not found.results


def test_a_program_that_stopped_before_its_session_leaves_its_last_lines() -> None:
    events = b'{"e":"load","s":1}\n'
    text = "ImportError while loading conftest '/workspace/conftest.py'.\nE   nowhere\n"
    found = report(ended(text, exit_code=4, events=events))
    assert not found.complete
    assert "while loading conftest" in found.errors[0]


def test_no_test_at_all_is_incomplete() -> None:
    assert report(ended(exit_code=5, events=session({}, 5))).reason == "No tests were found."
    assert report(ended(exit_code=0, events=session({}, 0))).reason == "No tests were found."


def test_a_timeout_names_the_test_that_was_running() -> None:
    events = session({"a": "passed", "b": "running"}, None)
    found = report(ended(exit_code=None, signal=9, reason="timeout", events=events))
    assert found.reason == "The tests did not end within 60 seconds; b was running."
    assert found.results["b"].status == "error"


def test_other_ends_are_said() -> None:
    events = session({"a": "running"}, None)
    assert "want of memory; a was running" in report(ended(reason="memory", events=events)).reason
    assert "without end" in report(ended(reason="output", events=events)).reason
    killed = report(ended(exit_code=None, signal=11, reason="signal", events=events))
    assert "SIGSEGV" in killed.reason


def test_events_beyond_the_limit_make_the_run_incomplete() -> None:
    assert not report(ended(events=session({"a": "passed"}), lost=10)).complete


def test_a_selection_reports_those_ids_only() -> None:
    run = TestRun("c", "pytest", ended(events=session({"a": "passed", "b": "passed"})), 60.0)
    assert list(report_of(run, only=["b", "gone"]).results) == ["b"]


def test_pytest_behind_make_reports_for_itself() -> None:
    found = report(ended(exit_code=2, events=session({"a": "failed"}, 1)), "make")
    assert found.complete
    assert found.failing == ("a",)


def test_an_unknown_command_is_one_test() -> None:
    assert report(ended("fine\n"), "unknown").passed == ("the command",)
    found = report(ended("first\nno such thing\n", exit_code=3), "make")
    assert found.complete
    assert found.results["the command"].message == "first\nno such thing"


def test_a_unittest_run_of_dots_behind_make_is_one_test() -> None:
    text = "..\n" + "-" * 70 + "\nRan 2 tests in 0.001s\n\nOK\n"
    assert report(ended(text), "make").passed == ("the command",)


def test_known_formats_are_recognised_in_any_commands_output() -> None:
    tap = "TAP version 13\nok 1 - a\n1..1\n"
    cargo = (
        "     Running tests/it.rs (x)\n\nrunning 1 test\ntest a ... ok\n\n"
        "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n"
    )
    go = '{"Action":"pass","Package":"p","Test":"T"}\n{"Action":"pass","Package":"p"}\n'
    assert report(ended(tap), "node").passed == ("a",)
    assert report(ended(cargo), "make").passed == ("tests/it.rs::a",)
    assert report(ended(go), "unknown").passed == ("p::T",)


def test_junit_files_count_before_text() -> None:
    xml = b"<testsuite><testcase name='a'/></testsuite>"
    found = report(ended("TAP version 13\nok 1 - b\n1..1\n"), "maven", junit=(xml,))
    assert found.passed == ("a",)
    assert not report(ended(), "maven", junit=(xml, b"")).complete


def test_a_cut_output_makes_a_text_run_incomplete() -> None:
    result = ended("TAP version 13\nok 1 - a\n1..1\n")
    cut = Output(result.output.head, b"", 10_000_000)
    result = CommandResult(0, None, "exit", cut, 1.0, 1.0, 1)
    assert "only part" in report(result, "node").reason.lower()


def test_a_report_that_lies_beside_says_nothing_where_the_tool_prints_its_own() -> None:
    lies = b'<testsuite><testcase classname="twice" name="TestTwice"/></testsuite>'
    printed = '{"Action":"start","Package":"twice"}\n{"Action":"pass","Package":"twice"}\n'
    assert "twice::TestTwice" not in report(ended(printed), "go", junit=(lies,)).results
    assert report(ended(printed), "node", junit=(lies,)).passed == ("twice::TestTwice",)
