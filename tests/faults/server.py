"""A model server that misbehaves on request: the one fake in the tests.

It does what no real server can be made to do: close in the middle of a word, answer in HTML, never
stop. Each `POST` for a turn (see `_TURNS`) gets the next `Reply`, the last one again and again; a
list of models and other routes can be set. It listens on 127.0.0.1 only.
"""

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

#: Bytes are sent, a number is a pause in seconds; "close" drops the connection, "hang" waits until
#: the client has gone, "forever" repeats what was sent last until the client has gone.
Step = bytes | float | Literal["close", "hang", "forever"]


@dataclass(frozen=True)
class Reply:
    """A response: status, headers, then its body step by step, in chunked encoding.

    With `whole` the body has a Content-Length instead; with `raw` the steps are all there is, down
    to the status line.
    """

    steps: Sequence[Step] = ()
    status: int = 200
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"Content-Type": "text/event-stream"}
    )
    whole: bool = False
    raw: bool = False


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def sse(*data: object) -> bytes:
    """Events with `data`: strings as they are, all else as JSON."""
    texts = (item if isinstance(item, str) else json.dumps(item) for item in data)
    return b"".join(f"data: {text}\n\n".encode() for text in texts)


def delta(finish: str | None = None, **fields: object) -> dict[str, object]:
    """One chunk of a chat completion."""
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def usage(prompt: int, output: int, **more: object) -> dict[str, object]:
    """The chunk that counts the tokens."""
    counts = {"prompt_tokens": prompt, "completion_tokens": output, **more}
    return {"object": "chat.completion.chunk", "choices": [], "usage": counts}


def call(name: str, arguments: object, call_id: str = "c1", index: int = 0) -> dict[str, object]:
    """One chunk that holds a whole call."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": name, "arguments": written}
    return delta(
        tool_calls=[{"index": index, "id": call_id, "type": "function", "function": function}]
    )


def answer(text: str = "fine", *chunks: object) -> Reply:
    """A sound streamed answer: `text`, or `chunks` where given, then the end and the count."""
    said = chunks or (delta(role="assistant"), delta(content=text))
    return Reply([sse(*said, delta(finish="stop"), usage(11, 3), "[DONE]")])


def stream(*steps: Step) -> Reply:
    return Reply(steps)


def ndjson(*lines: object) -> Reply:
    """An answer with one object a line, as Ollama's own interface streams it."""
    written = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return Reply([written], headers={"Content-Type": "application/x-ndjson"})


def error(
    status: int, message: str | object = "", headers: Mapping[str, str] | None = None
) -> Reply:
    """An error as OpenAI words it, or the JSON given instead of a text."""
    data = {"error": {"message": message}} if isinstance(message, str) else message
    kept = {"Content-Type": "application/json", **(headers or {})}
    return Reply([json.dumps(data).encode()], status, kept, whole=True)


def document(data: object) -> Reply:
    """A whole JSON document."""
    return Reply(
        [json.dumps(data).encode()], headers={"Content-Type": "application/json"}, whole=True
    )


def page(status: int = 200, text: str = "<!DOCTYPE html><html><body>Hello</body></html>") -> Reply:
    return Reply([text.encode()], status, {"Content-Type": "text/html; charset=utf-8"}, whole=True)


#: Where a model is asked for a turn: in chat or in raw tokens, by vLLM's way or llama.cpp's; and
#: Ollama's own.
_TURNS = ("/completions", "/completion", "/api/chat")


class FaultServer:
    """`async with FaultServer(reply, ...) as server:`; `requests` are the chat requests it got.

    `aborted` counts the replies that the client left before their end, `connections` those made.
    """

    def __init__(
        self,
        *replies: Reply,
        models: Sequence[str] = ("m",),
        routes: Mapping[str, Reply] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in models]}
        self.replies = list(replies)
        self.routes = {"/v1/models": document(listed), **(routes or {})}
        self.requests: list[Request] = []
        self.others: list[Request] = []
        self.aborted = 0
        self.connections = 0
        self.port = 0
        #: Called with the path of each request before it is answered.
        self.on_request: Callable[[str], None] = lambda _path: None
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()

    @property
    def root(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.root}/v1"

    async def __aenter__(self) -> "FaultServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        handler = asyncio.current_task()
        if handler is not None:
            self._handlers.add(handler)
            handler.add_done_callback(self._handlers.discard)
        try:
            while request := await _read(reader):
                await self._reply(self._next(request), reader, writer)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            self.aborted += 1
        finally:
            self._writers.discard(writer)
            writer.close()

    def _next(self, request: Request) -> Reply:
        self.on_request(request.path)
        if not request.path.partition("?")[0].endswith(_TURNS):
            self.others.append(request)
            missing = error(404, {"detail": "Not Found"})
            return self.routes.get(request.path.partition("?")[0], missing)
        self.requests.append(request)
        return self.replies[min(len(self.requests), len(self.replies)) - 1]

    async def _reply(
        self,
        reply: Reply,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if not reply.raw:
            writer.write(_head(reply))
        chunked = not (reply.raw or reply.whole)
        last = b""
        for step in reply.steps:
            if isinstance(step, bytes):
                last = _chunk(step) if chunked else step
                writer.write(last)
                await writer.drain()
            else:
                await _act(step, last, reader, writer)
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _act(
    step: float | str, last: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """A step that is no bytes. Raises ConnectionError when the client has left, or is to be."""
    if step == "close":
        writer.transport.abort()
        raise ConnectionAbortedError("closed on request")
    end = time.monotonic() + (step if isinstance(step, int | float) else 60.0)
    while time.monotonic() < end:
        if reader.at_eof():
            raise ConnectionResetError("the client has left")
        if step == "forever":
            writer.write(last)
            await writer.drain()
        await asyncio.sleep(0 if step == "forever" else 0.005)


def _head(reply: Reply) -> bytes:
    headers = dict(reply.headers)
    if reply.whole:
        headers["Content-Length"] = str(sum(len(s) for s in reply.steps if isinstance(s, bytes)))
    else:
        headers["Transfer-Encoding"] = "chunked"
    lines = [f"HTTP/1.1 {reply.status} Status", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


#: How somebody begins who takes a plain server for one that speaks TLS.
_TLS_HANDSHAKE = b"\x16"


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        first = await reader.readexactly(1)
        if first == _TLS_HANDSHAKE:
            return None
        head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    start, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = start.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


@contextlib.contextmanager
def in_thread(server: FaultServer) -> Iterator[FaultServer]:
    """Runs `server` on a loop of its own, for tests of programs that are started beside it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        yield server
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
