"""What is told of each request on the way out, and how one ends that is not carried out."""

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Outcome = Literal["ok", "refused", "failed"]
# What comes from the inside may be long.
LONGEST_HOST, LONGEST_WHY = 255, 500


@dataclass(frozen=True)
class NetworkRequest:
    """One request of a sandbox. `address` is what was connected to, "" for nothing; `via` names a
    proxy of this machine in between. `sent` and `received` are bytes, as the inside sees them.
    """

    when: datetime
    method: str
    host: str
    port: int
    address: str
    via: str
    outcome: Outcome
    why: str
    sent: int
    received: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "when": self.when.isoformat(timespec="milliseconds")}


class Denied(Exception):
    """A request that ends here: as what it is logged, and what the inside is answered. `told` is
    for the inside, where that differs from what is logged."""

    def __init__(self, outcome: Outcome, status: int, why: str, told: str = "") -> None:
        super().__init__(why)
        self.outcome: Outcome = outcome
        self.status = status
        self.why = why
        self.told = told or why[:LONGEST_WHY]


class Exchange:
    """A request while it goes on: what is counted of it."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.host = ""
        self.port = 0
        self.address = ""
        self.via = ""
        self.sent = 0
        self.received = 0
        self._when = datetime.now(UTC)
        self._started = time.monotonic()

    def ended(self, outcome: Outcome, why: str = "") -> NetworkRequest:
        """What there is to tell of it."""
        return NetworkRequest(
            when=self._when,
            method=self.method,
            host=self.host[:LONGEST_HOST],
            port=self.port,
            address=self.address,
            via=self.via,
            outcome=outcome,
            why=why[:LONGEST_WHY],
            sent=self.sent,
            received=self.received,
            seconds=round(time.monotonic() - self._started, 3),
        )
