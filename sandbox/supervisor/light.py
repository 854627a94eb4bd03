"""What the supervisor needs of contextlib, ctypes, json, selectors and signal, without what these
load (`re`, `enum`, `functools`, `collections`): that takes longer than all the rest of its start.
"""

from __future__ import annotations

import _ctypes
import _signal as signal  # type: ignore[import-not-found]
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "READ",
    "WRITE",
    "Ignoring",
    "Library",
    "Selector",
    "UnsignedLong",
    "dumps",
    "get_errno",
    "loads",
    "signal",
]

get_errno = _ctypes.get_errno

READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Ignoring:
    """As `contextlib.suppress`."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self._kinds)


class UnsignedLong(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """As `ctypes.c_ulong`."""

    _type_ = "L"


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "i"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Int


class Library:
    """As `ctypes.CDLL(None, use_errno=True)`, the C library: its functions, which give an int."""

    def __init__(self) -> None:
        self._handle = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        return _Function((name, self))  # type: ignore[arg-type]


class Selector:
    """What to do when a descriptor is ready, by its number."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._work: dict[int, Callable[[], object]] = {}

    def __contains__(self, fd: int) -> bool:
        return fd in self._work

    def register(self, fd: int, events: int, work: Callable[[], object]) -> None:
        self._epoll.register(fd, events)
        self._work[fd] = work

    def modify(self, fd: int, events: int, work: Callable[[], object]) -> None:
        self._epoll.modify(fd, events)
        self._work[fd] = work

    def unregister(self, fd: int) -> None:
        del self._work[fd]
        with Ignoring(OSError):  # it was closed
            self._epoll.unregister(fd)

    def work(self, patience: float) -> None:
        """Do what is to be done for what is ready, after at most so many seconds."""
        for fd, _ in self._epoll.poll(patience):
            # An earlier event of this round may have ended what this one belongs to.
            if fd in self._work:
                self._work[fd]()


class _Reading:
    """How JSON is read, as the C module takes it."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int


def _refuse(value: object) -> None:
    raise TypeError(f"there is no JSON for {type(value)}")


def _json() -> tuple[Callable[[Any], str], Callable[[bytes], Any]]:
    """What writes JSON as `json.dumps` does, and what reads such text."""
    try:
        from _json import encode_basestring_ascii, make_encoder, make_scanner  # noqa: PLC0415
    except ImportError:  # a Python that does without
        import json  # noqa: PLC0415

        return json.dumps, json.loads
    reading: Any = _Reading()
    scan = make_scanner(reading)
    encode = make_encoder(
        None, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, True
    )
    return lambda value: "".join(encode(value, 0)), lambda text: scan(text.decode("ascii"), 0)[0]


dumps, loads = _json()
