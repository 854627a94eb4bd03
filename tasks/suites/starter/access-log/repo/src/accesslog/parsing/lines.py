"""Lines in the common log format: host ident user [time] "request" status size."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from accesslog.parsing.fields import LogError, parse_size, parse_status, parse_time

LINE = re.compile(r'(?P<client>[^\[]+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<result>.+)')


@dataclass(frozen=True)
class Entry:
    host: str
    user: str | None
    time: datetime
    method: str
    path: str
    status: int
    size: int


def parse_line(line: str) -> Entry:
    """One line as an entry; LogError says what is wrong with it."""
    match = LINE.fullmatch(line.strip())
    if match is None:
        raise LogError(f"not a log line: {line!r}")
    client = match["client"].split()
    request = match["request"].split()
    result = match["result"].split()
    if len(client) != 3 or len(request) != 3 or len(result) != 2:
        raise LogError(f"fields are missing: {line!r}")
    return Entry(
        host=client[0],
        user=None if client[2] == "-" else client[2],
        time=parse_time(match["time"]),
        method=request[0],
        path=request[1],
        status=parse_status(result[0]),
        size=parse_size(result[0]),
    )


def parse_log(lines: Iterable[str]) -> Iterator[Entry]:
    """All entries; empty lines are skipped."""
    for line in lines:
        if line.strip():
            yield parse_line(line)
