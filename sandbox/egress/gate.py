"""What all connections of one sandbox share: what is allowed, what is left, what is logged."""

from collections import deque
from collections.abc import Callable, Mapping

from sandbox.allowlist import Allowlist
from sandbox.egress.dial import Dialer
from sandbox.egress.record import Denied, Exchange, NetworkRequest

KEPT = 1000
#: A list of requests must end somewhere, for each one is told of.
MOST_REQUESTS = 20_000


class Gate:
    """Counts and logs. `on_shut` is told when no request is carried out any more."""

    def __init__(
        self,
        allowlist: Allowlist,
        total_bytes: int,
        on_request: Callable[[NetworkRequest], None] | None,
        on_shut: Callable[[Denied], None],
        environment: Mapping[str, str],
    ) -> None:
        self.allowlist = allowlist
        self.dialer = Dialer(environment)
        self.requests: deque[NetworkRequest] = deque(maxlen=KEPT)
        self._total = self._left = total_bytes
        self._served = 0
        self._shut = ""  # why nothing is carried out any more
        self._on_request = on_request
        self._on_shut = on_shut

    def begin(self, method: str) -> Exchange:
        """One more request."""
        self._served += 1
        return Exchange(method)

    @property
    def closed(self) -> bool:
        """Whether there were so many requests that no other is looked at, and that was told."""
        return self._served > MOST_REQUESTS

    def check(self) -> None:
        """Raise Denied when no more requests may be made."""
        if self.closed:
            raise Denied("refused", 403, f"more than {MOST_REQUESTS:,} requests of one sandbox")
        self._check_open()

    def count(self, exchange: Exchange, *, sent: int = 0, received: int = 0) -> None:
        """Count bytes of a request that goes on. Raises Denied when there are too many."""
        exchange.sent += sent
        exchange.received += received
        self._left -= sent + received
        if self._left <= 0:
            self._end(f"the {self._total:,} bytes that this sandbox may exchange are used up")
        self._check_open()

    def log(self, request: NetworkRequest) -> None:
        """Keep and tell what became of a request."""
        self.requests.append(request)
        if self._on_request is None:
            return
        try:
            self._on_request(request)
        except BaseException:
            self._end("the requests of this sandbox cannot be logged")
            raise

    def _check_open(self) -> None:
        if self._shut:
            raise Denied("refused", 403, self._shut)

    def _end(self, why: str) -> None:
        if not self._shut:
            self._shut = why
            self._on_shut(Denied("refused", 403, why))
