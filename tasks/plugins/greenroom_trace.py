"""Which lines of the project a test ran: for localising a fault, not for measuring coverage."""

from __future__ import annotations

import dis
import os
import sys
import threading
from collections.abc import Iterable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.plugins.greenroom_events import Sources

_monitoring: Any = getattr(sys, "monitoring", None)  # since Python 3.12
LINES_LIMIT = 20_000  # of one test


def _is_test_file(path: str) -> bool:
    parts = path.split(os.sep)
    name = parts[-1]
    return (
        name == "conftest.py"
        or (name.startswith("test_") and name.endswith(".py"))
        or name.endswith("_test.py")
        or bool({"test", "tests"}.intersection(parts[:-1]))
    )


def _last_line(code: CodeType) -> int:
    last = max([line for _, line in dis.findlinestarts(code) if line] or [code.co_firstlineno])
    nested = (c for c in code.co_consts if isinstance(c, type(code)))
    return max([last] + [_last_line(c) for c in nested])


class Tracer:
    """Records, between start() and stop(), the lines run in workspace files outside tests.

    Uses sys.monitoring where there is one (each line then costs once), else sys.settrace; steps
    back for a debugger or coverage tool that is there already.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._wanted: dict[
            int, tuple[CodeType, str | None]
        ] = {}  # by id(code), with the code: equal code in two files compares equal
        self._seen: dict[int, set[int]] = {}
        self._count = 0
        self._monitor: int | None = None
        if _monitoring is not None:
            free = [tool for tool in (4, 3) if _monitoring.get_tool(tool) is None]
            if free:
                self._monitor = free[0]
                _monitoring.use_tool_id(self._monitor, "greenroom")
                _monitoring.register_callback(
                    self._monitor, _monitoring.events.LINE, self._monitored_line
                )

    def start(self) -> None:
        self._seen, self._count = {}, 0
        if self._monitor is not None:
            _monitoring.restart_events()
            _monitoring.set_events(self._monitor, _monitoring.events.LINE)
        elif sys.gettrace() is None:
            threading.settrace(self._call)
            sys.settrace(self._call)

    def stop(self) -> list[list[Any]]:
        """The lines since start(), as [path, function, first, last, [lines]], sorted."""
        if self._monitor is not None:
            _monitoring.set_events(self._monitor, 0)
        elif sys.gettrace() == self._call:
            sys.settrace(None)
            threading.settrace(None)
        seen, self._seen = self._seen, {}
        return sorted(self._row(*self._wanted[key], lines) for key, lines in seen.items())

    def _row(self, code: CodeType, path: str | None, lines: Iterable[int]) -> list[Any]:
        name = getattr(code, "co_qualname", code.co_name)
        return [path, name, code.co_firstlineno, _last_line(code), sorted(lines)]

    def _want(self, code: CodeType) -> bool:
        if id(code) not in self._wanted:
            path = self._sources.relative(code.co_filename)
            if path is not None and _is_test_file(path):
                path = None
            self._wanted[id(code)] = (code, path)
        return self._wanted[id(code)][1] is not None

    def _record(self, code: CodeType, line: int) -> None:
        if line and self._count < LINES_LIMIT:
            lines = self._seen.setdefault(id(code), set())
            if line not in lines:
                lines.add(line)
                self._count += 1

    def _monitored_line(self, code: CodeType, line: int) -> Any:
        if self._want(code):
            self._record(code, line)
        return _monitoring.DISABLE

    def _call(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._line if self._want(frame.f_code) else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self._record(frame.f_code, frame.f_lineno)
        return self._line
