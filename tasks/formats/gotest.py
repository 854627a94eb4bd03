"""The stream of `go test -json`."""

import json
import re
from collections import defaultdict
from typing import Any

from tasks.formats.parsed import (
    DETAIL_LIMIT,
    MESSAGE_LIMIT,
    Parsed,
    by_id,
    clean,
    cut,
    seconds,
)
from tasks.task import Status, TestResult

_OUTCOMES: dict[str, Status] = {"pass": "passed", "fail": "failed", "skip": "skipped"}
_UNBUILT = re.compile(r"^FAIL\t(\S+) \[(?:build|setup) failed\]", re.MULTILINE)
_NOISE = re.compile(r"\s*(=== (RUN|PAUSE|CONT|NAME)|--- (PASS|FAIL|SKIP)|FAIL\b|exit status|ok\s)")


def parse_go(data: bytes) -> Parsed:
    """Results with ids `package::Test/subtest`.

    A test without an outcome, in a package that ended, was cut down by a panic or an exit. What a
    build or a package's set-up printed becomes an error.
    """
    outcomes: dict[tuple[str, str], tuple[Status, float]] = {}
    outputs: dict[tuple[str, str], list[str]] = defaultdict(list)
    packages: dict[str, str | None] = {}
    loose: list[str] = []
    for raw in data.split(b"\n"):  # only there: a string may hold what Unicode calls a line end
        line = clean(raw.decode("utf-8", "replace"))
        event = _event(line)
        if event is None:
            loose.append(line)
            continue
        action = _text(event, "Action")
        package = _text(event, "Package") or _text(event, "ImportPath")
        test = _text(event, "Test")
        if action in ("output", "build-output"):
            outputs[package, test].append(_text(event, "Output"))
        elif test:
            packages.setdefault(package, None)
            if action in _OUTCOMES:
                elapsed = seconds(str(event.get("Elapsed", 0)))
                outcomes[package, test] = (_OUTCOMES[action], elapsed)
            elif action == "run":
                outcomes.setdefault((package, test), ("error", 0.0))
        elif action in ("start", "run", "pass", "fail", "skip"):
            packages[package] = action if action in _OUTCOMES else packages.get(package)
    results = [
        _result(package, test, status, elapsed, "".join(outputs[package, test]))
        for (package, test), (status, elapsed) in outcomes.items()
    ]
    unended = [package for package, action in packages.items() if action is None]
    return Parsed(
        results=by_id(results),
        errors=tuple(_errors(packages, outcomes, outputs, loose)),
        ended=not unended,
        reason=f"the tests of {', '.join(unended[:3])} did not end" if unended else "",
    )


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "Action" in event else None


def _text(event: dict[str, Any], key: str) -> str:
    value = event.get(key)
    return clean(value) if isinstance(value, str) else ""


def _result(package: str, test: str, status: Status, elapsed: float, output: str) -> TestResult:
    telling = [line.strip() for line in output.splitlines() if not _NOISE.match(line)]
    message = "\n".join(line for line in telling if line) if status != "passed" else ""
    if status == "error":
        message = message or "The run broke off while this test was running."
    return TestResult(
        id=f"{package}::{test}",
        status=status,
        seconds=elapsed,
        message=cut(message, MESSAGE_LIMIT),
        detail=cut(output, DETAIL_LIMIT) if status in ("failed", "error") else "",
    )


def _errors(
    packages: dict[str, str | None],
    outcomes: dict[tuple[str, str], tuple[Status, float]],
    outputs: dict[tuple[str, str], list[str]],
    loose: list[str],
) -> list[str]:
    """Packages that failed although no test did: no build, or a set-up that ended the run."""
    failing = {package for (package, _), (status, _) in outcomes.items() if status != "passed"}
    untested = [p for p, action in packages.items() if action == "fail" and p not in failing]
    printed = "\n".join(loose)
    untested += [name for name in _UNBUILT.findall(printed) if name not in untested]
    errors = []
    for package in untested[:50]:
        said = "".join(
            text
            for (owner, test), texts in outputs.items()
            if not test and owner.split(" ")[0] == package
            for text in texts
        )
        text = cut((said + _compiler_output(printed, package)).strip(), MESSAGE_LIMIT)
        errors.append(f"{package} could not be tested: {text}")
    return errors


def _compiler_output(printed: str, package: str) -> str:
    """What the compiler printed under `# package`; everything loose, when it named none."""
    section = re.search(
        rf"^# {re.escape(package)}(?: .*)?\n((?:(?!#|FAIL\t).*\n?)*)", printed, re.M
    )
    return section[1] if section else printed
