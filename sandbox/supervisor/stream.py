"""The supervisor's side of the stream: frames out, and what comes in for a request."""

from __future__ import annotations

import os

from sandbox import protocol
from sandbox.supervisor.processes import UNDOABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HIGH_WATER = 1 << 20
AT_ONCE = 64  # frames in one call


class Outbox:
    """Frames on their way to the host, written as the stream takes them."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: list[memoryview] = []
        self.size = 0

    def send(self, kind: int, ident: int, payload: bytes = b"") -> None:
        frame = protocol.encode(kind, ident, payload)
        self._waiting.append(memoryview(frame))
        self.size += len(frame)

    def send_all(self, kind: int, ident: int, data: bytes) -> None:
        """Send bytes that may be too many for one frame."""
        for start in range(0, len(data), protocol.MAX_PAYLOAD):
            self.send(kind, ident, data[start : start + protocol.MAX_PAYLOAD])

    @property
    def crowded(self) -> bool:
        """Whether the host has not taken enough of what it was sent."""
        return self.size > HIGH_WATER

    def flush(self) -> None:
        """Write what the stream takes now. Raises BrokenPipeError when the host is gone."""
        while self._waiting:
            try:
                done = os.writev(self._fd, self._waiting[:AT_ONCE])
            except BlockingIOError:
                return
            self.size -= done
            whole = 0
            while whole < len(self._waiting) and done >= len(self._waiting[whole]):
                done -= len(self._waiting[whole])
                whole += 1
            del self._waiting[:whole]
            if done:
                self._waiting[0] = self._waiting[0][done:]


class Upload:
    """Bytes of a request as they come in, and what to do at their end. After a failure the rest is
    dropped; the failure is the answer."""

    def __init__(self, feed: Callable[[bytes], None], finish: Callable[[], Any]) -> None:
        self._feed = feed
        self._finish = finish
        self._failure: Exception | None = None

    def feed(self, data: bytes) -> None:
        if self._failure is None:
            try:
                self._feed(data)
            except UNDOABLE as error:
                self._failure = error

    def finish(self) -> Any:
        if self._failure is not None:
            raise self._failure
        return self._finish()


def answering_nothing(work: Callable[[], None]) -> Callable[[], dict[str, Any]]:
    """Work whose end is all that the host is told."""

    def done() -> dict[str, Any]:
        work()
        return {}

    return done
