"""Messages, test reports and verdicts as plain JSON data, and back, for the trajectory."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agent.conversation import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from tasks.task import Frame, TestReport, TestResult, Verdict

_ROLES: Mapping[str, type[Message]] = {
    "system": SystemMessage,
    "user": UserMessage,
    "assistant": AssistantMessage,
    "tool": ToolMessage,
}
_NAMES = {kind: role for role, kind in _ROLES.items()}


def message_data(message: Message) -> dict[str, Any]:
    """A message as JSON data: its role and its fields."""
    return {"role": _NAMES[type(message)], **asdict(message)}


def message_from(data: Mapping[str, Any]) -> Message:
    """The message that `message_data` wrote."""
    fields = {name: value for name, value in data.items() if name != "role"}
    if data["role"] == "assistant":
        fields["calls"] = tuple(ToolCall(**call) for call in fields["calls"])
        fields["token_ids"] = tuple(fields["token_ids"])
        fields["log_probabilities"] = tuple(fields["log_probabilities"])
    return _ROLES[data["role"]](**fields)


def report_data(report: TestReport) -> dict[str, Any]:
    """A test report as JSON data, without its line trace."""
    return {
        "results": [asdict(result) for result in report.results.values()],
        "complete": report.complete,
        "command": report.command,
        "framework": report.framework,
        "errors": list(report.errors),
        "exit_code": report.exit_code,
        "reason": report.reason,
        "output": report.output,
        "seconds": report.seconds,
        "max_rss_bytes": report.max_rss_bytes,
    }


def report_from(data: Mapping[str, Any]) -> TestReport:
    """The report that `report_data` wrote."""
    results = {}
    for item in data["results"]:
        frames = tuple(Frame(**frame) for frame in item["frames"])
        results[item["id"]] = TestResult(**{**item, "frames": frames})
    fields = {**data, "results": results, "errors": tuple(data["errors"])}
    return TestReport(**fields)


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON data; its reports in short."""
    return {
        "status": verdict.status,
        "grade": verdict.grade,
        "reasons": list(verdict.reasons),
        "flaky": list(verdict.flaky),
        "newly_passing": list(verdict.newly_passing),
        "newly_failing": list(verdict.newly_failing),
        "seconds": verdict.seconds,
        "tests": report_summary(verdict.report) if verdict.report else None,
        "baseline": report_summary(verdict.baseline) if verdict.baseline else None,
    }


def report_summary(report: TestReport) -> dict[str, Any]:
    """Counts and failing ids of a report."""
    return {
        "command": report.command,
        "passed": len(report.passed),
        "failing": list(report.failing),
        "total": len(report.results),
        "errors": list(report.errors),
        "complete": report.complete,
        "reason": report.reason,
        "seconds": report.seconds,
    }
