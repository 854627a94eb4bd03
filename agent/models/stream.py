"""The body of a model server's response, read under time limits."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any

import httpx

from agent.models.base import ModelError
from agent.models.failures import Transient, shorten
from agent.models.sse import EventReader, OversizedEvent, ServerEvent

#: The most bytes of an answer that is one JSON document.
DOCUMENT_LIMIT = 32 << 20
#: Seconds in which a server may close what it said was over.
_AFTER_END = 0.5

#: Seconds that the next read may take.
Patience = Callable[[], float]
#: The error that a status, headers and a body call for.
Refusal = Callable[[int, Mapping[str, str], str], Exception]


class Stalled(Exception):
    """Nothing came within the time that the caller allowed."""


class AnswerStream:
    """The JSON objects of a streamed answer, or the one object of an answer that is not streamed.

    `announced_end` is true once the server said that the stream is over.
    """

    def __init__(
        self, response: httpx.Response, server: str, refusal: Refusal, patience: Patience
    ) -> None:
        self._response = response
        self._server = server
        self._refusal = refusal
        self._patience = patience
        self.announced_end = False
        self._last_look = 0.0

    async def chunks(self) -> AsyncGenerator[dict[str, Any], None]:
        """Raises Stalled, Transient (the connection broke), or what an error inside calls for."""
        reader = EventReader()
        kind = self._response.headers.get("content-type", "").lower()
        if "ndjson" in kind:
            async for chunk in self._lines():
                yield chunk
            return
        streamed = True if "event-stream" in kind else None
        document = bytearray()
        async for piece in self._pieces():
            if streamed is None and piece.strip():
                streamed = not piece.lstrip().startswith((b"{", b"<"))
            if streamed is False:
                document += piece
                self._check(len(document))
                continue
            for chunk in self._objects(self._feed(reader, piece)):
                yield chunk
        for chunk in self._whole(document) if streamed is False else ():
            yield chunk
        for chunk in self._objects(reader.close()):
            yield chunk

    async def _lines(self) -> AsyncGenerator[dict[str, Any], None]:
        """The objects of an answer with one a line, as Ollama sends them."""
        rest = b""
        async for piece in self._pieces():
            *lines, rest = (rest + piece).split(b"\n")
            self._check(len(rest))
            for line in lines:
                for data in _documents(line.decode("utf-8", "replace")):
                    if isinstance(data, dict):
                        yield self._checked(data)
                        self.announced_end = self.announced_end or data.get("done") is True
        for data in _documents(rest.decode("utf-8", "replace")):
            if isinstance(data, dict):
                yield self._checked(data)

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        """The body to its very end, so that the connection can serve the next turn; but what
        comes late or endless after the announced end is left."""
        body = pieces(self._response, self._patience_left)
        try:
            async for piece in body:
                if not self.announced_end:
                    yield piece
        except (Stalled, Transient):
            if not self.announced_end:
                raise

    def _patience_left(self) -> float:
        if not self.announced_end:
            return self._patience()
        self._last_look = self._last_look or time.monotonic() + _AFTER_END
        return max(0.0, self._last_look - time.monotonic())

    def _feed(self, reader: EventReader, piece: bytes) -> list[ServerEvent]:
        try:
            return reader.feed(piece)
        except OversizedEvent as problem:
            raise ModelError(f"{self._server} sends {problem}", _LOG_HINT) from None

    def _check(self, size: int) -> None:
        if size > DOCUMENT_LIMIT:
            raise ModelError(
                f"{self._server} sends an answer of more than {DOCUMENT_LIMIT} bytes", _LOG_HINT
            )

    def _whole(self, document: bytearray) -> Iterator[dict[str, Any]]:
        text = document.decode("utf-8", "replace")
        data = next(_documents(text), None)
        if not isinstance(data, dict):
            raise self._refusal(self._response.status_code, self._response.headers, text)
        yield self._checked(data)
        self.announced_end = True

    def _objects(self, events: list[ServerEvent]) -> Iterator[dict[str, Any]]:
        for event in events:
            if event.data.strip() == "[DONE]":
                self.announced_end = True
                return
            for data in _documents(event.data):
                if isinstance(data, dict):
                    failed = event.name == "error" and "error" not in data
                    yield self._checked({"error": data} if failed else data)

    def _checked(self, data: dict[str, Any]) -> dict[str, Any]:
        """`data` itself, unless it is an error that came with a success for a status."""
        if data.get("error") or data.get("object") == "error":
            inner = data["error"] if isinstance(data.get("error"), dict) else data
            code = inner.get("code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
            try:
                said = json.dumps(data)
            except RecursionError:  # nested as deep as reading just bears, and writing does not
                said = ""
            raise self._refusal(status, {}, said)
        return data


_LOG_HINT = "See the server's own log."


async def pieces(response: httpx.Response, patience: Patience) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises Stalled, or Transient when the connection breaks."""
    body = response.aiter_raw()
    while True:
        try:
            async with asyncio.timeout(patience()):
                piece = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Stalled from None
        except httpx.HTTPError as problem:
            raise Transient(f"the connection broke ({words(problem)})", "connection") from None
        yield piece


async def read_text(response: httpx.Response, limit: int, timeout: float) -> str:
    """The body as text, at most `limit` bytes of it, within `timeout` seconds. Raises like
    `pieces`."""
    body, end = bytearray(), time.monotonic() + timeout
    async for piece in pieces(response, lambda: end - time.monotonic()):
        body += piece
        if len(body) >= limit:
            break
    return bytes(body[:limit]).decode("utf-8", "replace")


def words(problem: BaseException) -> str:
    """What an exception says, on one line; its type where it says nothing. What a server sent and
    the HTTP library repeats is left out: a key may stand in it."""
    said = str(problem).partition("bytearray(")[0].rstrip(" :(")
    return shorten(said, 200) or type(problem).__name__


def _documents(text: str) -> Iterator[Any]:
    """The JSON in one event; one a line where a careless server left the empty lines out. What is
    no JSON is passed over: some put comments there."""
    try:
        yield json.loads(text)
    except (ValueError, RecursionError):
        for line in text.split("\n") if "\n" in text else ():
            yield from _documents(line)
