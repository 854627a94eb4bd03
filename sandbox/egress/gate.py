"""What all connections of one sandbox share: what is allowed, what is left, what is logged."""

from collections import deque
from collections.abc import Callable

from sandbox.allowlist import Allowlist
from sandbox.egress.dial import Dialer
from sandbox.egress.record import Denied, Exchange, NetworkRequest

KEPT = 1000
#: A list of requests must end somewhere, for each one is told of.
MOST_REQUESTS = 20_000


class Gate:
    """Counts and logs. `on_exhausted` is told once, when the bytes are used up."""

    def __init__(
        self,
        allowlist: Allowlist,
        total_bytes: int,
        on_request: Callable[[NetworkRequest], None] | None,
        on_exhausted: Callable[[Denied], None],
    ) -> None:
        self.allowlist = allowlist
        self.dialer = Dialer()
        self.requests: deque[NetworkRequest] = deque(maxlen=KEPT)
        self._served = 0
        self._left = total_bytes
        self._why = f"the {total_bytes:,} bytes that this sandbox may exchange are used up"
        self._on_request = on_request
        self._on_exhausted = on_exhausted

    def begin(self, method: str) -> Exchange:
        """One more request."""
        self._served += 1
        return Exchange(method)

    @property
    def closed(self) -> bool:
        """Whether there were so many requests that no other is served, and that was told."""
        return self._served > MOST_REQUESTS

    def check_left(self) -> None:
        """Raise Denied when no more requests may be made."""
        if self._left <= 0:
            raise self._exhausted()
        if self.closed:
            raise Denied("refused", 403, f"more than {MOST_REQUESTS:,} requests of one sandbox")

    def count(self, exchange: Exchange, *, sent: int = 0, received: int = 0) -> None:
        """Count bytes of a request that goes on. Raises Denied when there are too many."""
        exchange.sent += sent
        exchange.received += received
        before, self._left = self._left, self._left - sent - received
        if self._left > 0:
            return
        if before > 0:
            self._on_exhausted(self._exhausted())
        raise self._exhausted()

    def log(self, request: NetworkRequest) -> None:
        """Keep and tell what became of a request."""
        self.requests.append(request)
        if self._on_request is not None:
            self._on_request(request)

    def _exhausted(self) -> Denied:
        return Denied("refused", 403, self._why)
