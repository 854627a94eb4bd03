"""Tasks, messages, reports, patches and verdicts as plain JSON data for the log, and back."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from agent.conversation import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from agent.models.base import ReasoningCut
from sandbox.container import Rebuild
from sandbox.errors import UsageError
from sandbox.image import ImageSpec
from sandbox.install import Install
from sandbox.patch import Change, Patch
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.task import Checks, Frame, Task, TestReport, TestResult, Verdict

#: What each event of a cut has; the rest only where the model was asked again.
_ALWAYS = ("reason", "detail", "tokens", "kept", "saved", "way")

Given = ParamSpec("Given")
Read = TypeVar("Read")

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


def cut_data(cut: ReasoningCut) -> dict[str, Any]:
    """A cut of reasoning as the fields of its event."""
    data = {**asdict(cut), "thought": message_data(cut.thought) if cut.thought else None}
    return {name: value for name, value in data.items() if name in _ALWAYS or value}


def _from_log(read: Callable[Given, Read]) -> Callable[Given, Read]:
    """A function that raises UsageError, shown to the user, for data that was never written so."""

    @wraps(read)
    def checked(*given: Given.args, **named: Given.kwargs) -> Read:
        try:
            return read(*given, **named)
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise UsageError(
                f"the log of the run is damaged: {type(problem).__name__}: {problem}",
                "The run is lost; `greenroom solve` starts a new one.",
            ) from problem

    return checked


@_from_log
def cut_from(data: Mapping[str, Any]) -> ReasoningCut:
    """The cut that `cut_data` wrote."""
    fields = {name: data[name] for name in _ALWAYS}
    thought = message_from(data["thought"]) if "thought" in data else None
    if not isinstance(thought, AssistantMessage | None):
        raise TypeError("a thought that is no turn of the model")
    return ReasoningCut(**fields, thought=thought, steering=data.get("steering", ""))


@_from_log
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


@_from_log
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
        "left_out": list(verdict.left_out),
        "newly_passing": list(verdict.newly_passing),
        "newly_failing": list(verdict.newly_failing),
        "seconds": verdict.seconds,
        "cause": verdict.cause,
        **({"rewards": dict(verdict.rewards)} if verdict.rewards else {}),
        "twins": asdict(verdict.twins) if verdict.twins else None,
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


def task_data(task: Task) -> dict[str, Any]:
    """A task as JSON data; its base as a tree of the run's own repository."""
    return {
        "id": task.id,
        "instruction": task.instruction,
        "base": {"tree": task.base.tree, "ignore": [list(rule) for rule in task.base.ignore]},
        "image": image_data(task.image),
        "rebuild": asdict(task.rebuild) if task.rebuild else None,
        "checks": {
            **asdict(replace(task.checks, hidden=None)),
            "hidden": patch_data(task.checks.hidden) if task.checks.hidden else None,
        },
        "policy": task.policy.as_dict(),
        "advice": task.advice,
        "notes": list(task.notes),
        **_whole_data(task),
    }


def _whole_data(task: Task) -> dict[str, Any]:
    """What only a task of a whole file system has."""
    verifier, limit = task.verifier, task.time_limit
    if verifier is None:
        return {"time_limit": limit} if limit is not None else {}
    image = image_data(verifier.image) if verifier.image else None
    return {
        "time_limit": limit,
        "verifier": {**asdict(replace(verifier, image=None)), "image": image},
    }


@_from_log
def task_from(data: Mapping[str, Any], store: TreeStore) -> Task:
    """The task that `task_data` wrote, its base in `store`. Not for one whose outcome is a whole
    file system: nothing of that is in a log."""
    if "verifier" in data:
        raise ValueError("a task of a whole file system, which can only be begun again")
    checks = {name: _frozen(value) for name, value in data["checks"].items()}
    hidden = data["checks"]["hidden"]
    rebuild = data["rebuild"]
    ignore = tuple((folder, tuple(lines)) for folder, lines in data["base"]["ignore"])
    return Task(
        id=data["id"],
        instruction=data["instruction"],
        base=Base(store, data["base"]["tree"], ignore),
        image=image_from(data["image"]),
        checks=Checks(**{**checks, "hidden": patch_from(hidden) if hidden else None}),
        policy=Policy(**{name: _frozen(value) for name, value in data["policy"].items()}),
        rebuild=Rebuild(**{k: _frozen(v) for k, v in rebuild.items()}) if rebuild else None,
        advice=data["advice"],
        notes=tuple(data["notes"]),
        time_limit=data.get("time_limit"),
    )


def image_data(spec: ImageSpec) -> dict[str, Any]:
    """An image's spec as JSON data, the contents of files in base64."""
    data = asdict(spec)
    for install in data["installs"]:
        install["files"] = [[path, b64encode(raw).decode()] for path, raw in install["files"]]
    return data


def image_from(data: Mapping[str, Any]) -> ImageSpec:
    """The spec that `image_data` wrote."""
    plain = {name: _frozen(value) for name, value in data.items() if name != "installs"}
    return ImageSpec(**plain, installs=tuple(map(_install_from, data.get("installs", ()))))


def _install_from(data: Mapping[str, Any]) -> Install:
    files = tuple((path, b64decode(text)) for path, text in data["files"])
    environment = tuple((name, value) for name, value in data["environment"])
    return Install(data["kind"], data["what"], files, tuple(data["commands"]), environment)


def patch_data(patch: Patch) -> list[dict[str, Any]]:
    """A patch as JSON data: path, mode, content in base64; both None for a deletion."""
    return [
        {
            "path": change.path,
            "mode": change.mode,
            "content": None if change.content is None else b64encode(change.content).decode(),
        }
        for change in patch
    ]


def patch_from(data: Sequence[Mapping[str, Any]]) -> Patch:
    """The patch that `patch_data` wrote."""
    return Patch(
        tuple(
            Change(
                item["path"],
                item["mode"],
                None if item["content"] is None else b64decode(item["content"]),
            )
            for item in data
        )
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
