"""What a sandbox may reach in tests: real servers on this machine, names that lead to them, and a
client that talks to the proxy inside byte by byte."""

import asyncio
import hashlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sandbox.container import NetworkRequest, Sandbox
from sandbox.profile import PROXY_PORT

MIB = 1 << 20
LOOPBACK = "127.0.0.0/8"


class Web(ThreadingHTTPServer):
    """An HTTP server on a port of the loopback; over TLS with a context. `seen` are the requests
    that reached it."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, context: ssl.SSLContext | None = None, git: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.git = git
        self.sent = 0
        self.received = 0
        self.take = threading.Event()
        self.now = self.most = 0
        self.counting = threading.Lock()
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.seen]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Attacks break connections off; that is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Web
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        with self.server.counting:
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            if self.server.git and url.path.startswith("/git/"):
                self._git(url.path.removeprefix("/git"), url.query)
            elif url.path == "/big":
                self._big(int(asked["mib"]))
            elif url.path == "/redirect":
                self._answer(302, b"", Location=asked["to"])
            elif url.path == "/held":
                self.server.take.wait(300)
                self._answer(200, b"held")
            else:
                self._answer(200, f"this is {self.path}".encode())
        finally:
            with self.server.counting:
                self.server.now -= 1

    do_HEAD = do_DELETE = do_GET

    def do_POST(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        url = urlsplit(self.path)
        if self.server.git and url.path.startswith("/git/"):
            self._git(url.path.removeprefix("/git"), url.query)
            return
        if url.path == "/reluctant":
            self.server.take.wait(300)
        digest = hashlib.sha256()
        for piece in self._body():
            digest.update(piece)
            self.server.received += len(piece)
        self._answer(200, digest.hexdigest().encode())

    do_PUT = do_POST

    def log_message(self, format: str, *args: Any) -> None: ...

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _big(self, mib: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(mib * MIB))
        self.end_headers()
        for number in range(mib * 16):
            self.wfile.write(bytes([number % 251]) * (MIB // 16))
            self.server.sent += MIB // 16

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read(min(left, MIB))
            if not piece:
                return
            left -= len(piece)
            yield piece

    def _git(self, path: str, query: str) -> None:
        """As `git http-backend` answers, a CGI program."""
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.git),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": "somebody",
        }
        body = b"".join(self._body()) if self.command == "POST" else b""
        done = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=True
        )
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(fields.pop("Status", "200").split()[0])
        self._answer(status, rest, **fields)


@contextmanager
def web(context: ssl.SSLContext | None = None, git: Path | None = None) -> Iterator[Web]:
    """A running server."""
    server = Web(context, git)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.take.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def listener(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose connections `talk` serves, one at a time."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        talk(connection)
                    except OSError:
                        continue  # the other side has gone

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, bytes]:
    """A server's context with a certificate for these names, and what a client has to trust."""
    key, pem = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *(
                "-subj",
                "/CN=test",
                "-addext",
                "subjectAltName=" + ",".join(f"DNS:{n}" for n in names),
            ),
            *("-keyout", str(key), "-out", str(pem)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, pem.read_bytes()


async def ended(box: Sandbox, since: int = 0, count: int = 1) -> Sequence[NetworkRequest]:
    """The requests of a sandbox after the first `since`, as soon as there are `count`: a tunnel is
    told of when both of its sides have ended, a moment after the command that made it."""
    async with asyncio.timeout(30):
        while len(box.requests) < since + count:
            await asyncio.sleep(0.01)
    return box.requests[since:]


class Names:
    """The name server of a test: names below `.test` lead where it says, or nowhere. One may have
    several answers, each of them for one question; the last one stays."""

    def __init__(self) -> None:
        self.known: dict[str, list[str] | list[list[str]]] = {}
        self.asked: list[str] = []

    def look_up(self, host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not isinstance(name, str) or not name.endswith(".test"):
            return _REAL(host, port, *rest, **more)
        self.asked.append(name)
        if name not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found: Any = self.known[name]
        if isinstance(found[0], list):
            found = found.pop(0) if len(found) > 1 else found[0]
        lines = (_REAL(address, port, *rest, **more) for address in found)
        return [line for each in lines for line in each]


_REAL = socket.getaddrinfo


#: For scripts inside: `get` and `ask` give all that the proxy sends back.
CLIENT = (
    f"PORT = {PROXY_PORT}\n"
    + r"""
import os, socket, sys, time
END = "\r\n\r\n"
def reach(port=PORT):
    s = socket.create_connection(("127.0.0.1", port), 20)
    s.settimeout(60)
    return s
def rest(s):
    found = bytearray()
    try:
        while True:
            more = s.recv(65536)
            if not more: return bytes(found)
            found += more
    except ConnectionError:
        return bytes(found) + b"<reset>"
def ask(*parts):
    with reach() as s:
        try:
            for part in parts: s.sendall(part if isinstance(part, bytes) else part.encode())
        except ConnectionError: pass
        return rest(s)
def head(target, host=None, method="GET", more=""):
    host = target.split("/")[2] if host is None else host
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close{END}"
def get(url, host=None, more=""):
    return ask(head(url, host, more=more))
def tunnel(place, host=None):
    s = reach()
    s.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place if host is None else host}{END}".encode())
    answer = b""
    while END.encode() not in answer:
        more = s.recv(65536)
        if not more: break
        answer += more
    return s, answer
def show(*answers):
    for answer in answers:
        print(answer.decode("latin-1").replace("\r\n", " | "))
"""
)
