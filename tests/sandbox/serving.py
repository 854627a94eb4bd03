"""A package index that a test serves itself, on this machine's loopback."""

import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Handler(SimpleHTTPRequestHandler):
    """Serves files; with a login, only to who gives it."""

    def __init__(self, *arguments: object, login: str, **named: object) -> None:
        self._wanted = f"Basic {base64.b64encode(login.encode()).decode()}" if login else ""
        super().__init__(*arguments, **named)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self._wanted and self.headers.get("Authorization") != self._wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def served(folder: Path, login: str = "") -> Iterator[int]:
    """Serves a folder over HTTP on 127.0.0.1; the port. `login` is `user:password`."""
    handler = partial(_Handler, directory=str(folder), login=login)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def serve_wheel(folder: Path, name: str, files: dict[str, str]) -> None:
    """Puts a wheel into a package index of one package."""
    place = folder / "simple" / name
    place.mkdir(parents=True)
    wheel = f"{name}-1.0-py3-none-any.whl"
    metadata = {
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    with zipfile.ZipFile(place / wheel, "w") as archive:
        for path, text in {**files, **metadata}.items():
            archive.writestr(path, text)
        record = "".join(f"{path},,\n" for path in archive.namelist())
        archive.writestr(f"{name}-1.0.dist-info/RECORD", record)
    (place / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>')


def serve_package(folder: Path, name: str, path: str, content: str) -> None:
    """Puts a Debian package into a flat repository of one package."""
    control = f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@x.example>\n"
    control += "Description: x\n"
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _packed("./control", control, 0o644),
        "data.tar.gz": _packed(f".{path}", content, 0o755),
    }
    deb = b"!<arch>\n"
    for member, data in members.items():
        deb += f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
        deb += data + b"\n" * (len(data) % 2)
    (folder / f"{name}.deb").write_bytes(deb)
    digest = hashlib.sha256(deb).hexdigest()
    (folder / "Packages").write_text(
        f"{control}Filename: ./{name}.deb\nSize: {len(deb)}\nSHA256: {digest}\n"
    )


def _packed(path: str, content: str, mode: int) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(content), mode
        tar.addfile(entry, io.BytesIO(content.encode()))
    return archive.getvalue()
