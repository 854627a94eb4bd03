"""Server-sent events out of bytes, whatever pieces they arrive in.

Follows the event stream format of the HTML standard, as far as a model server uses it: `data`
lines (several make one event), `event` names, comments, any of the three line ends, a byte order
mark. Bytes that are no UTF-8 become replacement characters; a line may not grow without bound.
"""

from dataclasses import dataclass

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class OversizedEvent(ValueError):
    """An event longer than the reader was told to hold."""


@dataclass(frozen=True)
class ServerEvent:
    data: str
    name: str = ""


class EventReader:
    """Takes bytes, gives the events they complete.

    >>> reader = EventReader()
    >>> reader.feed(b"data: on"), reader.feed(b"e\\n\\n: ping\\n\\n")
    ([], [ServerEvent(data='one', name='')])
    """

    def __init__(self, limit: int = 8 << 20) -> None:
        """`limit` bounds one event in bytes."""
        self._limit = limit
        self._tail = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._name = ""
        self._started = False

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that `chunk` completes. Raises OversizedEvent."""
        if not self._started:
            chunk = bytes(self._tail) + chunk
            self._tail.clear()
            if len(chunk) < 3 and _BYTE_ORDER_MARK.startswith(chunk):
                self._tail += chunk
                return []
            self._started = True
            chunk = chunk.removeprefix(_BYTE_ORDER_MARK)
        if b"\n" not in chunk and b"\r" not in chunk and not self._tail.endswith(b"\r"):
            self._tail += chunk
            self._check(len(self._tail))
            return []
        lines = (bytes(self._tail) + chunk).splitlines(keepends=True)
        self._tail.clear()
        # A carriage return at the end may be half of a line end, so that line waits as well.
        if lines and not lines[-1].endswith(b"\n"):
            self._tail += lines.pop()
            self._check(len(self._tail))
        events = []
        for line in lines:
            event = self._take(line.rstrip(b"\r\n"))
            if event is not None:
                events.append(event)
        return events

    def close(self) -> list[ServerEvent]:
        """What an ended stream left: its last event, even without the empty line behind it.

        The standard drops such an event; servers that end in a hurry do send one.
        """
        line, self._tail = bytes(self._tail).rstrip(b"\r\n"), bytearray()
        events = [self._take(line)] if line else []
        events.append(self._take(b""))
        return [event for event in events if event is not None]

    def _take(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if name == b"error":  # llama.cpp's older servers write an error as a field of its own
            self._name = "error"
        if name in (b"data", b"error"):
            self._data.append(value)
            self._size += len(value)
            self._check(self._size)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> ServerEvent | None:
        data, name = self._data, self._name
        self._data, self._name, self._size = [], "", 0
        if not data:
            return None
        return ServerEvent(b"\n".join(data).decode("utf-8", "replace"), name)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise OversizedEvent(f"an event of more than {self._limit} bytes")
