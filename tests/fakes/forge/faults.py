"""What can go wrong with a call of a forge's API, asked for by a test."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Fault:
    """Hits the calls whose "METHOD /path" matches `route` (a regular expression, searched for),
    after `skip` of them, `times` times. `kind` is what happens: an answer of `status`, a connection
    that drops, or one that hangs. With `late` the call has done its work before.
    """

    route: str = ""
    skip: int = 0
    times: int = 1
    kind: Literal["status", "drop", "hang"] = "status"
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "made to fail by the test"
    late: bool = False
    hits: int = 0

    def strikes(self, call: str) -> bool:
        if not re.search(self.route, call):
            return False
        self.hits += 1
        return self.skip < self.hits <= self.skip + self.times


class Faults:
    """The faults in force; a call is hit by the first that strikes."""

    def __init__(self) -> None:
        self._all: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        self._all.append(fault)
        return fault

    def clear(self) -> None:
        self._all.clear()

    def for_call(self, call: str) -> Fault | None:
        with self._lock:
            return next((fault for fault in self._all if fault.strikes(call)), None)
