"""What a command in a sandbox gave back, and what file operations in it give."""

import errno
import json
import math
import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.errors import GreenroomError

Reason = Literal["exit", "signal", "timeout", "memory", "output"]
STARTED, NO_FOLDER, NO_PROGRAM = 0, 1, 2


class FileProblem(GreenroomError):
    """A file operation in a sandbox that cannot be done: not a regular file, no permission, too
    large, no space left, outside the workspace. `path` is what was asked for, "" for several."""

    def __init__(self, path: str, text: str, number: int = 0) -> None:
        super().__init__(f"{path}: {text}" if path else text)
        self.path = path
        self.text = text
        self.errno = number


@dataclass(frozen=True)
class Output:
    """A command's output: its first bytes, its last bytes, and how many there were in all."""

    head: bytes
    tail: bytes
    total: int

    @property
    def truncated(self) -> bool:
        return self.total > len(self.head) + len(self.tail)

    @property
    def text(self) -> str:
        """The output decoded, with a line that says what was cut."""
        head = self.head.decode("utf-8", "replace")
        if not self.truncated:
            return (self.head + self.tail).decode("utf-8", "replace")
        cut = self.total - len(self.head) - len(self.tail)
        tail = self.tail.decode("utf-8", "replace")
        return f"{head}\n[... {cut:,} of {self.total:,} bytes cut ...]\n{tail}"


@dataclass(frozen=True)
class CommandResult:
    """How a command ended.

    Exactly one of `exit_code` and `signal` is set. `reason` is why it ended: by itself (exit,
    signal), at its time limit, for want of memory, or for too much output. `seconds` is wall-clock
    time, `cpu_seconds` the CPU time of it and all it started, `max_rss_bytes` the largest
    single process. `events` is what it wrote to its events pipe, `events_total` how much that was
    before it was cut.
    """

    exit_code: int | None
    signal: int | None
    reason: Reason
    output: Output
    seconds: float
    cpu_seconds: float
    max_rss_bytes: int
    events: bytes = b""
    events_total: int = 0

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and self.reason == "exit"


@dataclass(frozen=True)
class FileInfo:
    """An entry of a folder: its path in the workspace, its kind (file, folder, link, pipe, socket,
    device) and its size in bytes."""

    path: str
    kind: str
    size: int


class Listing(list[FileInfo]):
    """Entries of a folder, sorted by path; `truncated` when there were more."""

    def __init__(self, entries: Iterable[FileInfo] = (), *, truncated: bool = False) -> None:
        super().__init__(entries)
        self.truncated = truncated


def listing(found: Any) -> Listing:
    """A listing from what the supervisor reported."""
    entries = (FileInfo(str(name), str(kind), int(size)) for name, kind, size in found["entries"])
    return Listing(entries, truncated=bool(found["truncated"]))


@dataclass(frozen=True)
class Match:
    """A line that was found: the file's path in the workspace, the line's number from 1."""

    path: str
    line_number: int
    line: str


@dataclass(frozen=True)
class SearchResult:
    """Lines found, in order of path, and whether there were more."""

    matches: tuple[Match, ...]
    truncated: bool


def search_result(output: Output, limit: int) -> SearchResult:
    """Matches from a search's output, one JSON list a line; a line that was cut is dropped."""
    lines = (output.head if output.truncated else output.head + output.tail).split(b"\n")[:-1]
    matches = []
    for line in lines:
        path, number, text = json.loads(line)
        matches.append(Match(str(path), int(number), str(text)))
    truncated = output.truncated or len(matches) > limit
    return SearchResult(tuple(matches[:limit]), truncated)


def run_result(
    reply: dict[str, Any], output: Output, events: bytes, argv: Sequence[str], cwd: str
) -> CommandResult:
    """The result of running `argv` in `cwd`, from what the supervisor reported. Raises
    FileNotFoundError and its like when it could not begin there."""
    if reply["stage"] == NO_FOLDER:
        raise file_error(cwd, {"errno": reply["errno"], "text": "cannot be worked in"})
    if reply["stage"] == NO_PROGRAM:
        return not_started(reply, argv[0] if argv else "")
    return command_result(reply, output, events)


def command_result(reply: dict[str, Any], output: Output, events: bytes) -> CommandResult:
    """The result of a command that began, from what the supervisor reported."""
    status = int(reply["status"])
    exit_code = os.waitstatus_to_exitcode(status)
    reason: Reason = "exit" if exit_code >= 0 else "signal"
    if reply["reason"] in ("timeout", "output") and exit_code == -signal.SIGKILL:
        # Otherwise it came to its own end in the moment before it would have been stopped.
        reason = reply["reason"]
    elif exit_code and int(reply["oom_kills"]) > 0:
        reason = "memory"
    return CommandResult(
        exit_code=exit_code if exit_code >= 0 else None,
        signal=-exit_code if exit_code < 0 else None,
        reason=reason,
        output=output,
        seconds=_seconds(reply["seconds"]),
        cpu_seconds=_seconds(reply["cpu_seconds"]),
        max_rss_bytes=int(reply["max_rss_bytes"]),
        events=events,
        events_total=int(reply["events_total"]),
    )


def _seconds(value: Any) -> float:
    """A time. JSON as Python reads it also has numbers that no other reader takes."""
    if not math.isfinite(value):
        raise ValueError(f"{value} seconds")
    return float(value)


def not_started(reply: dict[str, Any], program: str) -> CommandResult:
    """The result of a program that could not be run: as a shell says it."""
    number = int(reply["errno"])
    text = f"{program}: {os.strerror(number)}\n".encode()
    missing = number == errno.ENOENT
    output = Output(text, b"", len(text))
    return CommandResult(127 if missing else 126, None, "exit", output, 0.0, 0.0, 0)


def file_error(path: str, reply: dict[str, Any]) -> Exception:
    """The error of a file operation, from the supervisor's report of it."""
    number, text = int(reply["errno"]), str(reply["text"])
    if number == errno.ENOENT:
        return FileNotFoundError(number, text, path)
    if number == errno.EISDIR:
        return IsADirectoryError(number, text, path)
    if number == errno.ENOTDIR:
        return NotADirectoryError(number, text, path)
    return FileProblem(path, text, number)


def signal_name(number: int) -> str:
    """A signal's name, as SIGKILL; its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
