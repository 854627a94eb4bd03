"""`python -m greenroom_unittest ...` is `python -m unittest ...` that also reports its tests.

Arguments, output and exit code are unittest's own. With GREENROOM_ONLY_* set, tests other than
those ids are left out.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
import traceback
import unittest
import unittest.loader
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.plugins import greenroom_events, greenroom_trace
else:  # side by side in the sandbox
    import greenroom_events
    import greenroom_trace

greenroom_events.leave_path()
_clock = time.perf_counter
_FailedTest: Any = unittest.loader._FailedTest  # type: ignore[attr-defined]


class _Reports:
    """Folds what unittest says of a test (subtests, cleanup errors) into one event."""

    def __init__(self, channel: greenroom_events.Channel) -> None:
        self.channel = channel
        self.sources = greenroom_events.Sources(greenroom_events.workspace)
        self.tracer = greenroom_trace.Tracer(self.sources) if greenroom_events.tracing else None
        self.current: dict[str, Any] | None = None
        self.waiting: dict[str, Any] = {}  # collected tests that have not run, by id

    def collected(self, tests: list[Any]) -> None:
        self.waiting = {test.id(): test for test in tests if not isinstance(test, _FailedTest)}
        ids = list(self.waiting)
        for start in range(0, max(len(ids), 1), 500):
            self.channel.emit("collected", ids=ids[start : start + 500])

    def start(self, test: Any) -> None:
        self.channel.emit("run", id=test.id())
        self.waiting.pop(test.id(), None)
        self.current = {"status": None, "begun": _clock()}
        if self.tracer is not None:
            self.tracer.start()

    def note(
        self,
        test: Any,
        status: str,
        message: str = "",
        detail: str = "",
        raw: Iterable[greenroom_events.RawFrame] = (),
    ) -> None:
        if self.current is None:  # a class's or module's fixture, outside any test
            found = {"status": status, "message": message, "detail": detail, "raw": raw}
            for one in self.kept_from_running(test.id()) or [test]:
                self.send(one, found)
        elif self.current["status"] not in ("failed", "error"):
            self.current.update(status=status, message=message, detail=detail, raw=raw)

    def stop(self, test: Any) -> None:
        if self.tracer is not None:
            self.channel.emit("trace", id=test.id(), x=self.tracer.stop())
        found, self.current = self.current, None
        if found is not None and found["status"] is not None:
            found["seconds"] = round(_clock() - found["begun"], 4)
            self.send(test, found)

    def send(self, test: Any, found: dict[str, Any]) -> None:
        kind = "test"
        extra: dict[str, Any] = {"status": found["status"], "seconds": found.get("seconds", 0.0)}
        if isinstance(test, _FailedTest):
            kind, extra = "uncollected", {}
        self.channel.emit(
            kind,
            id=_id(test),
            message=greenroom_events.cut(found.get("message", ""), greenroom_events.MESSAGE_LIMIT),
            detail=self.channel.detail(found.get("detail", "")),
            frames=self.sources.frames(found.get("raw", ())),
            file=self.file(test),
            **extra,
        )

    def kept_from_running(self, fixture: str) -> list[Any]:
        """The tests that wait for a set-up named like `setUpClass (module.Class)`."""
        match = re.match(r"setUp(?:Class|Module) \((.+)\)$", fixture)
        ids = [id for id in self.waiting if match and id.startswith(match.group(1) + ".")]
        return [self.waiting.pop(id) for id in ids]

    def file(self, test: Any) -> str | None:
        module = sys.modules.get(type(test).__module__)
        return self.sources.relative(getattr(module, "__file__", None) or "")


def _id(test: Any) -> str:
    return str(test._testMethodName if isinstance(test, _FailedTest) else test.id())


def _tests(suite: Iterable[Any]) -> Iterator[Any]:
    for test in suite:
        if isinstance(test, unittest.BaseTestSuite):
            yield from _tests(test)
        else:
            yield test


def _wanted(test: Any, selected: frozenset[str]) -> bool:
    if isinstance(test, _FailedTest):
        return any(id == _id(test) or id.startswith(_id(test) + ".") for id in selected)
    return test.id() in selected


def _select(suite: Any, selected: frozenset[str]) -> Any:
    kept = [
        _select(test, selected) if isinstance(test, unittest.BaseTestSuite) else test
        for test in suite
        if isinstance(test, unittest.BaseTestSuite) or _wanted(test, selected)
    ]
    return type(suite)(kept)


_reports: _Reports | None = None
if greenroom_events.channel is not None:
    _reports = _Reports(greenroom_events.channel)
    _reports.channel.emit("load", v=greenroom_events.VERSION, tool="unittest")


def _observe(method: str, *arguments: Any) -> None:
    """Run an observation; its own defects are reported to the harness and never reach the run."""
    if _reports is not None:
        try:
            getattr(_reports, method)(*arguments)
        except Exception:  # whatever a test did to the library, the run must go on as without us
            _reports.channel.emit("trouble", message=traceback.format_exc()[-2_000:])


class _Result(unittest.TextTestResult):
    def startTest(self, test: Any) -> None:
        _observe("start", test)
        super().startTest(test)

    def stopTest(self, test: Any) -> None:
        super().stopTest(test)
        _observe("stop", test)

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        _observe("note", test, "passed")

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._note_failure(test, "failed", err)

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._note_failure(test, "failed" if _in_test(test) else "error", err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note_failure(test, "failed", err)

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        _observe("note", test, "skipped", str(reason))

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        super().addExpectedFailure(test, err)
        _observe("note", test, "xfailed")

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        _observe("note", test, "failed", "Unexpected success: the test is marked expectedFailure.")

    def _note_failure(self, test: Any, status: str, err: Any) -> None:
        message = "".join(traceback.format_exception_only(err[0], err[1])).strip()
        raw = greenroom_events.traceback_frames(err[2])
        detail = self._exc_info_to_string(err, test)  # type: ignore[attr-defined]
        _observe("note", test, status, message, detail, raw)


def _in_test(test: Any) -> bool:
    return isinstance(test, unittest.TestCase) and not isinstance(test, _FailedTest)


class _Runner(unittest.TextTestRunner):
    resultclass = _Result  # type: ignore[assignment]

    def run(self, test: Any) -> Any:
        if _reports is None:
            return super().run(test)
        channel = _reports.channel
        version = platform.python_version()
        channel.emit("start", tool="unittest", version=version, python=version)
        if greenroom_events.selected is not None and isinstance(test, unittest.BaseTestSuite):
            test = _select(test, greenroom_events.selected)
        _observe("collected", list(_tests(test)))
        result = super().run(test)
        if result.shouldStop:
            channel.emit("stop", message="stopped at the first failure or by an interrupt")
        return result


class _Program(unittest.TestProgram):
    def runTests(self) -> None:
        try:
            super().runTests()
        except SystemExit as end:
            if _reports is not None:
                code = end.code if isinstance(end.code, int) else int(bool(end.code))
                _reports.channel.emit("end", exit=int(code))
            raise


if __name__ == "__main__":
    # What unittest's own __main__ shows as the program's name.
    sys.argv[0] = os.path.basename(sys.executable) + " -m unittest"
    _Program(module=None, testRunner=_Runner)
