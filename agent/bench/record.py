"""What became of each attempt: an append-only log of results, one JSON line each.

A result is written once its attempt is over and durable before the next one counts as begun, so a
run that was killed goes on with what is not in the log.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from sandbox.errors import UsageError

VERSION = 1
#: Those of a verdict; `no patch`: the attempt ended without one; `unsupported`: the task cannot be
#: run here.
Status = Literal[
    "solved",
    "failed",
    "invalid patch",
    "tampered",
    "suspect",
    "no patch",
    "infrastructure failed",
    "unsupported",
]


@dataclass(frozen=True)
class Result:
    """The end of one attempt at one task.

    `attempt` counts from 1. `reason` says why in a sentence or some; `limit` names the budget that
    ended it (turn, token, time, cost). `seconds` are of the whole attempt, `verify_seconds` those
    of its clean rooms. `usage` has the token counts of the trajectory, `cost` is in US dollars,
    None where unknown. `rewards` are what a task's own verifier gave, by name. `retries` counts
    how often it was begun again for reasons of infrastructure. `folder` is the attempt's, relative
    to the run's, empty where none was kept. `started` and `ended` are ISO 8601 in UTC.
    """

    task: str
    attempt: int
    status: Status
    grade: str | None = None
    reason: str = ""
    limit: str = ""
    turns: int = 0
    usage: Mapping[str, Any] = field(default_factory=dict)
    cost: float | None = None
    seconds: float = 0.0
    verify_seconds: float = 0.0
    retries: int = 0
    malformed: Mapping[str, int] = field(default_factory=dict)
    tests_failing: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()
    patch_bytes: int = 0
    rewards: Mapping[str, float] = field(default_factory=dict)
    folder: str = ""
    started: str = ""
    ended: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What a run holds exactly one result of."""
        return (self.task, self.attempt)

    @property
    def solved(self) -> bool:
        return self.status == "solved"

    @property
    def counts(self) -> bool:
        """Whether it says something about who made the patch."""
        return self.status not in ("infrastructure failed", "unsupported")


class ResultLog:
    """The results of a run, in the order in which they came. Appending costs the same however many
    there are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: int | None = None

    def append(self, result: Result) -> None:
        """Writes a result, durably. Raises OSError."""
        if self._stream is None:
            _drop_torn_line(self.path)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._stream = os.open(self.path, flags, 0o644)
        line = json.dumps({"v": VERSION, **asdict(result)}, separators=(",", ":"))
        data = line.encode() + b"\n"
        try:
            if os.write(self._stream, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._stream)
        except OSError:
            self.close()  # so that what was written of the line goes before the next one
            raise

    def close(self) -> None:
        if self._stream is not None:
            os.close(self._stream)
            self._stream = None


def read(path: Path) -> Iterator[Result]:
    """The results of a log, without a last line that a killed process left unfinished. Raises
    UsageError, shown to the user, for a log that is damaged or of a newer version."""
    for found in scan(path):
        if isinstance(found, UsageError):
            raise found
        yield found


def scan(path: Path) -> Iterator[Result | UsageError]:
    """As `read`, but a damaged line is the error that says so, and those after it follow."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.endswith(b"\n"):
                try:
                    yield _result(line, f"{path}, line {number}")
                except UsageError as problem:
                    yield problem


def _result(line: bytes, where: str) -> Result:
    try:
        data = json.loads(line)
        version = data.pop("v")
        if version == VERSION:
            known = {each.name for each in fields(Result)}
            given = {name: value for name, value in data.items() if name in known}
            for name in ("tests_failing", "flaky"):
                given[name] = tuple(given.get(name, ()))
            if given["status"] not in get_args(Status):
                raise ValueError(given["status"])
            return Result(**given)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(
            f"{where}: not a result of a benchmark run",
            "The log is damaged: delete the line, and the attempt is run again.",
        ) from None
    raise UsageError(
        f"{where}: version {version} of the format; this is {VERSION}",
        "Use the version of greenroom that wrote it.",
    )


def _drop_torn_line(path: Path) -> None:
    """Cuts off a last line that a killed process left unfinished."""
    if not path.exists():
        return
    with path.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        while size:
            start = max(0, size - (1 << 16))
            stream.seek(start)
            end = stream.read(size - start).rfind(b"\n")
            if end >= 0:
                stream.truncate(start + end + 1)
                return
            size = start
        stream.truncate(0)
