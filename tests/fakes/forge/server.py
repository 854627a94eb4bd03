"""The HTTP of a fake forge on 127.0.0.1: routes, faults, a log of the calls, and git."""

import json
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.forge.faults import Fault, Faults
from tests.fakes.forge.httpgit import git_over_http
from tests.fakes.forge.messages import Answer, Call, Refused
from tests.fakes.forge.store import Project, Store, Token


class FakeForge:
    """One fake forge. Subclasses give `api`, where its API begins, and answer calls of it."""

    api = ""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.faults = Faults()
        #: "METHOD /path" of each call of the API, in order.
        self.calls: list[str] = []
        self.url = ""
        self.closing = threading.Event()

    def answer(self, call: Call, path: str) -> Answer:
        """The answer to a call of the API; `path` begins behind `api`."""
        raise NotImplementedError

    def behind(self, path: str) -> str | None:
        """The part of a path behind `api`; None where it is none of the API's."""
        return path.removeprefix(self.api) if path.startswith(self.api + "/") else None

    def may_git(self, token: Token | None, project: Project, write: bool) -> bool:
        """Whether a token reads or pushes this project over git."""
        raise NotImplementedError

    def error(self, status: int, message: str) -> Any:
        """The body of an error in this forge's words."""
        return {"message": message}

    def served(self, call: Call) -> Answer:
        path = self.behind(call.path)
        if path is None:
            with self.store.lock:
                self.store.follow_branches()
            return git_over_http(self, call)
        with self.store.lock:
            self.store.follow_branches()
            try:
                return self.answer(call, path)
            except Refused as refused:
                return refused.answer

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serves until the end of the block; gives the server's address."""
        server = _Server(("127.0.0.1", 0), _Requests)
        server.forge = self
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self.url
        finally:
            self.closing.set()
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    forge: FakeForge

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away says nothing; a defect of the fake is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without it an answer's body waits for the acknowledgement of its head.
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        split = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        pairs = parse_qsl(split.query, keep_blank_values=True)
        query = dict(pairs)
        for name in query:
            if name.endswith("[]"):
                query[name] = ",".join(value for key, value in pairs if key == name)
        call = Call(self.command, split.path, query, headers, self._body(headers))
        forge = self.server.forge
        fault = None
        if (path := forge.behind(call.path)) is not None:
            name = f"{call.method} {path}"
            forge.calls.append(name)
            fault = forge.faults.for_call(name)
        if fault is None:
            self._send(forge.served(call))
            return
        if fault.late:
            forge.served(call)
        self._fail(fault)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(headers.get("content-length", 0)))

    def _fail(self, fault: Fault) -> None:
        if fault.kind == "hang":
            self.server.forge.closing.wait()
        if fault.kind == "status":
            body = self.server.forge.error(fault.status, fault.message)
            self._send(Answer(fault.status, body, dict(fault.headers)))
            return
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, answer: Answer) -> None:
        raw = answer.body
        headers = dict(answer.headers)
        if raw is not None and not isinstance(raw, bytes):
            raw = json.dumps(raw).encode()
            headers.setdefault("Content-Type", "application/json; charset=utf-8")
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(raw or b"")))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw or b"")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing: `FakeForge.calls` is the log."""
