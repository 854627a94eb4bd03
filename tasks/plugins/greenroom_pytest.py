"""A pytest plugin that reports each test as it ends; it changes neither the run nor its output.

Loaded by PYTEST_ADDOPTS="-p greenroom_pytest", from pytest 6.2 on. Without a pipe to report to
(an xdist worker, a subprocess of a test) every hook returns at once. Exceptions to leaving the
run alone: with GREENROOM_ONLY_* set, tests other than those ids are deselected; with
GREENROOM_TEST_SECONDS set, a test whose call takes more processor time than that fails; no full
diff is made of large values.
"""

from __future__ import annotations

import os
import platform
import re
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tasks.plugins import greenroom_events, greenroom_trace
else:  # side by side in the sandbox
    import greenroom_events
    import greenroom_trace

_NEW_PATHS = tuple(int(n) for n in re.findall(r"\d+", pytest.__version__)[:2]) >= (7, 0)
_LARGE = 2_000  # characters of two values
_TEXT_FRAME = re.compile(r"^([^\s:][^:\n]*\.py):(\d+): (?:in (\S+))?", re.MULTILINE)


def _parameters(text: str) -> str:
    return re.sub(r"\[.*", "", text, flags=re.DOTALL)


class _Session:
    """What is known of the running session, and the folding of phases into one outcome."""

    def __init__(
        self,
        channel: greenroom_events.Channel,
        selected: frozenset[str] | None,
        tracing: bool,
    ) -> None:
        self.channel = channel
        self.selected = selected
        self.sources = greenroom_events.Sources(greenroom_events.workspace)
        self.tracer = greenroom_trace.Tracer(self.sources) if tracing else None
        self.rootdir = self.sources.root
        self.started_in = os.getcwd()
        self.collected = False
        self.finished: pytest.Session | None = None  # pytest's session, once it is over
        self.pending: dict[str, dict[str, Any]] = {}
        self.raw_frames: dict[tuple[str, str | None], list[greenroom_events.RawFrame]] = {}
        self.files = frozenset(_parameters(id).split("::")[0] for id in selected or ())

    def wants(self, nodeid: str) -> bool:
        """Whether a test is selected: by its id, or by that which all cases of it share."""
        selected = self.selected or ()
        return nodeid in selected or _parameters(nodeid) in selected

    def file(self, nodeid: str) -> str | None:
        name = _parameters(nodeid).split("::")[0]
        path = self.sources.relative(os.path.join(self.rootdir, name)) if name else None
        return path if path and os.path.exists(os.path.join(self.sources.root, path)) else None

    def send_collected(self, ids: list[str]) -> None:
        if not self.collected:
            self.collected = True
            for start in range(0, max(len(ids), 1), 500):
                self.channel.emit("collected", ids=ids[start : start + 500])

    def report(self, report: Any) -> None:
        """Fold one phase's report into the test's outcome."""
        subtest = hasattr(report, "context")
        found = self.pending.get(report.nodeid)
        if found is None or (report.when == "setup" and not subtest):  # afresh for each rerun
            found = self.pending[report.nodeid] = {"status": None, "seconds": 0.0}
        found["seconds"] += getattr(report, "duration", 0.0) or 0.0
        status = _status(report)
        if status is None or (subtest and status not in ("failed", "error")):
            return
        if found["status"] in ("failed", "error"):
            return
        found["status"] = status
        if status != "passed":
            self._explain(found, report, status)

    def _explain(self, found: dict[str, Any], report: Any, status: str) -> None:
        if status in ("xfailed", "xpassed"):
            reason = getattr(report, "wasxfail", "")
            found["message"] = greenroom_events.cut(reason, greenroom_events.MESSAGE_LIMIT)
            return
        text = _text(report)
        found["message"] = _message(report, text)
        if status == "skipped":
            return
        raw = self.raw_frames.pop((report.nodeid, report.when), None) or self.text_frames(text)
        found["raw"] = raw
        captured = "".join(f"\n---- {name} ----\n{content}" for name, content in report.sections)
        found["detail"] = greenroom_events.cut(text, 12_000) + greenroom_events.cut(captured, 4_000)

    def text_frames(self, text: str) -> list[greenroom_events.RawFrame]:
        return [
            (os.path.join(self.started_in, path), int(line), function)
            for path, line, function in _TEXT_FRAME.findall(text)
        ]

    def finish(self, nodeid: str) -> None:
        found = self.pending.pop(nodeid, None)
        if found is None or found["status"] is None:
            return
        self.channel.emit(
            "test",
            id=nodeid,
            status=found["status"],
            seconds=round(found["seconds"], 4),
            message=found.get("message", ""),
            detail=self.channel.detail(found.get("detail", "")),
            frames=self.sources.frames(found.get("raw", ())),
            file=self.file(nodeid),
        )

    def collection(self, report: Any) -> None:
        text = _text(report)
        if report.failed:
            self.channel.emit(
                "uncollected",
                id=report.nodeid,
                message=_message(report, text),
                detail=self.channel.detail(text),
                frames=self.sources.frames(self.text_frames(text)),
                file=self.file(report.nodeid),
            )
        elif report.skipped:  # a whole file that skipped itself
            self.channel.emit(
                "test",
                id=report.nodeid,
                status="skipped",
                seconds=0.0,
                message=_message(report, text),
                detail="",
                frames=[],
                file=self.file(report.nodeid),
            )


def _status(report: Any) -> str | None:
    if hasattr(report, "wasxfail"):
        if report.skipped:
            return "xfailed"
        if report.passed and report.when == "call":
            return "xpassed"
    if report.failed:
        return "error" if report.when in ("setup", "teardown") else "failed"
    if report.skipped:
        return "skipped"
    if report.passed and report.when == "call":
        return "passed"
    return None  # a passed setup or teardown says nothing; a "rerun" will be reported again


def _text(report: Any) -> str:
    longrepr = report.longrepr
    if isinstance(longrepr, (tuple, list)) and len(longrepr) == 3:  # a skip: path, line, reason
        return re.sub("^Skipped: ", "", str(longrepr[2]))
    return getattr(report, "longreprtext", None) or str(longrepr or "")


def _message(report: Any, text: str) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    message = getattr(crash, "message", None)
    if not message:
        lines = [line[1:] for line in text.splitlines() if re.match(r"E(\s|$)", line)]
        if lines:
            margin = min((len(n) - len(n.lstrip()) for n in lines if n.strip()), default=0)
            message = "\n".join(line[margin:] for line in lines)
        else:
            rest = [line for line in text.splitlines() if line.strip()]
            message = rest[-1] if rest else ""
    return greenroom_events.cut(message, greenroom_events.MESSAGE_LIMIT)


def _start() -> _Session | None:
    if greenroom_events.channel is None:
        return None
    session = _Session(
        greenroom_events.channel, greenroom_events.selected, greenroom_events.tracing
    )
    session.channel.emit("load", v=greenroom_events.VERSION, tool="pytest")
    return session


_seconds = float(os.environ.pop("GREENROOM_TEST_SECONDS", "0"))
_session = _start()
greenroom_events.leave_path()


def _observe(look: Callable[[_Session], object]) -> None:
    """Run an observation; its own defects are reported to the harness and never reach the run."""
    if _session is not None:
        try:
            look(_session)
        except Exception:  # whatever a test did to the library, the run must go on as without us
            _session.channel.emit("trouble", message=traceback.format_exc()[-2_000:])


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    def look(seen: _Session) -> None:
        names = getattr(config.option, "plugins", None)
        if names:  # else xdist's workers would be told to import this plugin
            config.option.plugins = [name for name in names if name != "greenroom_pytest"]
        seen.rootdir = str(config.rootpath)
        seen.started_in = str(config.invocation_params.dir)

    _observe(look)


def pytest_sessionstart() -> None:
    versions = {"version": pytest.__version__, "python": platform.python_version()}
    _observe(lambda seen: seen.channel.emit("start", tool="pytest", **versions))


def _unwanted(path: Any, config: pytest.Config) -> bool | None:
    """True for a test file that holds none of the selected tests; None leaves it to others."""
    if _session is None or not _session.files or not os.path.isfile(str(path)):
        return None
    relative = os.path.relpath(str(path), str(config.rootpath)).replace(os.sep, "/")
    if relative in _session.files or os.path.basename(relative) in ("conftest.py", "__init__.py"):
        return None
    return True


if _NEW_PATHS:

    def pytest_ignore_collect(collection_path: Any, config: pytest.Config) -> bool | None:
        return _unwanted(collection_path, config)

else:

    def pytest_ignore_collect(path: Any, config: pytest.Config) -> bool | None:  # type: ignore[misc]
        return _unwanted(path, config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _session is not None and _session.selected is not None:
        wanted = [item for item in items if _session.wants(item.nodeid)]
        others = [item for item in items if not _session.wants(item.nodeid)]
        if others:
            items[:] = wanted
            config.hook.pytest_deselected(items=others)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    _observe(lambda seen: seen.send_collected([item.nodeid for item in session.items]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    _observe(lambda seen: seen.send_collected(list(ids)))


def pytest_collectreport(report: Any) -> None:
    _observe(lambda seen: seen.collection(report))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str) -> None:
    def look(seen: _Session) -> None:
        seen.channel.emit("run", id=nodeid)
        if seen.tracer is not None:
            seen.tracer.start()

    _observe(look)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> None:
    def look(seen: _Session) -> None:
        if call.excinfo is not None:
            frames = greenroom_events.traceback_frames(call.excinfo.value.__traceback__)
            seen.raw_frames[item.nodeid, call.when] = frames

    _observe(look)


@pytest.hookimpl(hookwrapper=True)
def pytest_assertrepr_compare(left: object, right: object) -> Iterator[None]:
    """Without CI in the environment pytest makes no full diff of two values. It takes minutes for
    lists of a hundred lists, so large values do without."""
    kept = os.environ.get("CI")
    try:
        large = _session is not None and len(repr(left)) + len(repr(right)) > _LARGE
    except Exception:  # pytest says of such an object that it has no repr
        large = False
    if large and kept is not None:
        del os.environ["CI"]
    try:
        yield
    finally:
        if large and kept is not None:
            os.environ["CI"] = kept


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """End a call that does not end by itself. Processor time, so that a busy machine changes
    nothing; again each second, for code that catches everything and goes on."""
    if _session is None or not _seconds:
        yield
        return
    before = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, _seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _too_long(*_: object) -> None:
    pytest.fail(f"The test took more than {_seconds:g} seconds of processor time.")


def pytest_runtest_logreport(report: Any) -> None:
    _observe(lambda seen: seen.report(report))


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish(nodeid: str) -> None:
    def look(seen: _Session) -> None:
        if seen.tracer is not None:
            seen.channel.emit("trace", id=nodeid, x=seen.tracer.stop())
        seen.finish(nodeid)
        seen.raw_frames.clear()

    _observe(look)


def pytest_internalerror(excrepr: object) -> None:
    _observe(lambda seen: seen.channel.emit("internal", message=seen.channel.detail(str(excrepr))))


def pytest_keyboard_interrupt(excinfo: Any) -> None:
    message = str(excinfo.value) or excinfo.typename
    _observe(lambda seen: seen.channel.emit("stop", message=message))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    def look(seen: _Session) -> None:
        for nodeid in list(seen.pending):  # tests of a crashed xdist worker never "finish"
            seen.finish(nodeid)
        for reason in (session.shouldfail, session.shouldstop):
            if reason:
                seen.channel.emit("stop", message=str(reason))
        seen.finished = session

    _observe(look)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    def look(seen: _Session) -> None:
        session, seen.finished = seen.finished, None
        if session is not None:
            seen.channel.emit("end", exit=int(session.exitstatus))

    _observe(look)
