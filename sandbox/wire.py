"""Requests to a sandbox's supervisor, one function each way they go: ask, collect, send, run."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sandbox import protocol
from sandbox.channel import Channel, Request
from sandbox.errors import InfrastructureError, UsageError
from sandbox.lifecycle import Container
from sandbox.policy import MIB, Policy
from sandbox.profile import WORKSPACE
from sandbox.results import CommandResult, Output, file_error, run_result

T = TypeVar("T")
# What reading an answer raises that is not of the agreed form.
MALFORMED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError),
    protocol.ProtocolError,
)
LIVE_BYTES = MIB
LARGEST_INPUT = 16 * MIB  # the supervisor holds it until the command has read it
# Beyond a command's own time: for the supervisor to end it and to answer.
ANSWER_SECONDS = 60.0
UPLOAD_SECONDS = 300.0


class Wire:
    """The requests of one sandbox. Everything raises InfrastructureError when the container or its
    stream is dead, or when an answer breaks the protocol."""

    def __init__(self, container: Container, policy: Policy, workspace: str = WORKSPACE) -> None:
        self._container = container
        self._policy = policy
        self._workspace = workspace

    def folder(self, cwd: str) -> str:
        """An absolute path; a relative one is in the workspace."""
        return cwd if cwd.startswith("/") else f"{self._workspace}/{cwd}"

    async def ask(self, request: dict[str, Any], path: str = "") -> dict[str, Any]:
        """A request that a reply answers. `path` is what its error is about."""
        return await self.settle(await self.push(request), path)

    async def push(
        self, request: dict[str, Any], chunks: Iterable[bytes] | AsyncIterator[bytes] | None = None
    ) -> Request:
        """Send a request, and the bytes that belong to it, without waiting for its reply."""
        async with self.explained():
            pending = self._channel.begin(request, _unexpected)
            if chunks is not None:
                await self._upload(pending, chunks)
            return pending

    async def settle(self, pending: Request, path: str = "") -> dict[str, Any]:
        """The reply to a request that was pushed."""
        async with self.explained():
            return await self._reply(pending, path, ANSWER_SECONDS)

    async def collect(
        self, request: dict[str, Any], limit: int, path: str = "", names: bytes | None = None
    ) -> bytearray:
        """A request that bytes answer, at most `limit`. `names` follows the request."""
        data = bytearray()
        await self.receive(request, bounded(data.extend, limit), path, names)
        return data

    async def report(
        self,
        request: dict[str, Any],
        read: Callable[[Any], T],
        limit: int,
        path: str = "",
    ) -> T:
        """A request that JSON of at most `limit` bytes answers, as `read` understands it."""
        data = await self.collect(request, limit, path)
        return self.understand(lambda: read(json.loads(data)))

    async def receive(
        self,
        request: dict[str, Any],
        take: Callable[[bytes], None],
        path: str = "",
        names: bytes | None = None,
    ) -> dict[str, Any]:
        """A request that bytes answer, taken as they come, and a reply at their end."""
        async with self.explained():
            pending = self._channel.begin(request, lambda _, payload: take(payload))
            if names is not None:
                await self._upload(pending, iter([names]))
            return await self._reply(pending, path, UPLOAD_SECONDS)

    async def send(
        self,
        request: dict[str, Any],
        chunks: Iterable[bytes] | AsyncIterator[bytes],
        path: str = "",
    ) -> None:
        """A request with bytes that belong to it."""
        await self.settle(await self.push(request, chunks), path)

    async def run(
        self,
        argv: Sequence[str],
        *,
        op: Mapping[str, Any] | None = None,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds: float | None = None,
        output_limit: int | None = None,
        events_limit: int = 0,
        on_output: Callable[[bytes], None] | None = None,
        on_events: Callable[[bytes], None] | None = None,
    ) -> CommandResult:
        """Run a command (or another operation, `op`, that runs as one). Cancelling kills it."""
        if not argv and op is None:
            raise UsageError("A command without a program cannot be run.")
        if len(stdin) > LARGEST_INPUT:
            raise UsageError(
                f"A command's input has {len(stdin):,} bytes; at most {LARGEST_INPUT:,} are taken.",
                "Write it to a file first.",
            )
        limit = self._policy.output_bytes if output_limit is None else output_limit
        time_limit = self._policy.command_timeout if seconds is None else seconds
        taken = _Taken(limit, events_limit, on_output, on_events)
        request = {
            "op": "run",
            "argv": list(argv),
            "folder": self.folder(cwd),
            "env": dict(env or {}),
            "timeout": time_limit,
            "live": taken.live,
            "tail": taken.tail_limit,
            "events_limit": events_limit,
            "output_stop": self._policy.output_stop_bytes,
            **(op or {}),
        }
        async with self.explained():
            begin = self._channel.begin
            pending = taken.pending = begin(request, taken.take, ended=not stdin)
            try:
                if stdin:
                    await self._upload(pending, iter([stdin]))
                reply = await self._reply(pending, cwd, time_limit + ANSWER_SECONDS)
            except BaseException:
                self._channel.drop(pending)
                raise

        def read() -> CommandResult:
            output = taken.output(int(reply["total"]))
            return run_result(reply, output, bytes(taken.events), argv, cwd)

        return self.understand(read)

    def understand(self, read: Callable[[], T]) -> T:
        """What `read` makes of an answer; one that is not of the agreed form ends the container."""
        try:
            return read()
        except MALFORMED as error:
            self._channel.fail(f"it answered wrongly: {error!r}", "protocol")
            raise self._channel.error from error

    @property
    def _channel(self) -> Channel:
        return self._container.channel

    @asynccontextmanager
    async def explained(self) -> AsyncIterator[None]:
        """A dead container's error says what took it away."""
        try:
            yield
        except InfrastructureError as error:
            raise await self._container.explained(error) from None

    async def _upload(
        self, pending: Request, chunks: Iterable[bytes] | AsyncIterator[bytes]
    ) -> None:
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                await self._channel.upload(pending.ident, chunks)
        except TimeoutError:
            raise await self._container.gave_no_answer(UPLOAD_SECONDS) from None

    async def _reply(self, pending: Request, path: str, seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                reply = await self._channel.finish(pending)
        except TimeoutError:
            raise await self._container.gave_no_answer(seconds) from None
        if "error" not in reply:
            return reply
        raise self.understand(lambda: file_error(path, reply["error"]))


class _Taken:
    """A command's output and events as they arrive, bounded by what was asked for."""

    def __init__(
        self,
        limit: int,
        events_limit: int,
        on_output: Callable[[bytes], None] | None,
        on_events: Callable[[bytes], None] | None,
    ) -> None:
        self.head_limit = limit // 2
        self.tail_limit = limit - self.head_limit
        self.live = max(self.head_limit, LIVE_BYTES) if on_output else self.head_limit
        self.events = bytearray()
        self.pending: Request | None = None
        self._events_limit = events_limit
        self._show_to = {protocol.OUTPUT: on_output, protocol.EVENTS: on_events}
        self._live_left = self.live
        self._head = bytearray()
        self._tail = bytearray()
        self._late = bytearray()

    def take(self, kind: int, payload: bytes) -> None:
        if kind == protocol.OUTPUT:
            self._live_left -= len(payload)
            now = payload[: self.head_limit - len(self._head)]
            self._head += now
            self._tail += payload[len(now) :]
            del self._tail[: -self.tail_limit or len(self._tail)]
            self._show(kind, payload)
        elif kind == protocol.TAIL:
            self._late += payload
        else:
            self.events += payload
            self._show(kind, payload)
        if (
            self._live_left < 0
            or len(self._late) > self.tail_limit
            or len(self.events) > self._events_limit
        ):
            raise protocol.ProtocolError("more of a command's output than was asked for")

    def output(self, total: int) -> Output:
        tail = (self._tail + self._late)[-self.tail_limit or self.tail_limit + len(self._tail) :]
        if total < len(self._head) + len(tail):
            raise ValueError("less output counted than given")
        return Output(bytes(self._head), bytes(tail), total)

    def _show(self, kind: int, payload: bytes) -> None:
        show = self._show_to[kind]
        if show is None:
            return
        try:
            show(payload)
        except Exception as error:
            # The caller's own: it is raised where the caller waits, and must not end the stream.
            self._show_to[kind] = None
            if self.pending is not None and not self.pending.reply.done():
                self.pending.reply.set_exception(error)


def bounded(take: Callable[[bytes], None], limit: int) -> Callable[[bytes], None]:
    """`take`, for no more than `limit` bytes in all; more of them break the protocol."""
    left = limit

    def take_part(payload: bytes) -> None:
        nonlocal left
        left -= len(payload)
        if left < 0:
            raise protocol.ProtocolError("more bytes than were asked for")
        take(payload)

    return take_part


def _unexpected(kind: int, payload: bytes) -> None:
    raise protocol.ProtocolError("bytes where a reply was due")
