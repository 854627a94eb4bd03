"""Finding the engine as the docker program does, and saying what is wrong when it is not there."""

import asyncio
import hashlib
import json
import os
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sandbox.container import Sandbox
from sandbox.engine import DEFAULT_SOCKET, Address, Engine, explain, find_address
from sandbox.errors import SetupError
from sandbox.image import Image
from sandbox.policy import Policy
from sandbox.trees import Base


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "docker"
    folder.mkdir()
    names = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


def add_context(configuration: Path, name: str, host: str, **more: Any) -> str:
    key = hashlib.sha256(name.encode()).hexdigest()
    folder = configuration / "contexts" / "meta" / key
    folder.mkdir(parents=True)
    meta = {"Name": name, "Endpoints": {"docker": {"Host": host, **more}}}
    (folder / "meta.json").write_text(json.dumps(meta))
    return key


def test_without_any_configuration_it_is_the_default_socket() -> None:
    assert find_address() == Address(DEFAULT_SOCKET, "the default")


def test_the_environment_beats_the_context(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_context(configuration, "far", "tcp://far:2375")
    (configuration / "config.json").write_text('{"currentContext": "far"}')
    assert find_address().url == "tcp://far:2375"
    assert "'far'" in find_address().origin
    add_context(configuration, "other", "unix:///other.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert find_address().socket_path == "/other.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://1.2.3.4:99")
    assert find_address().host_and_port == ("1.2.3.4", 99)


def test_the_default_context_is_the_default_socket(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (configuration / "config.json").write_text('{"currentContext": "far"}')
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert find_address().url == DEFAULT_SOCKET


def test_a_context_s_certificates_are_used(configuration: Path) -> None:
    key = add_context(configuration, "far", "tcp://far:2376", SkipTLSVerify=True)
    (configuration / "config.json").write_text('{"currentContext": "far"}')
    folder = configuration / "contexts" / "tls" / key / "docker"
    folder.mkdir(parents=True)
    address = find_address()
    assert address.tls == folder
    assert not address.verify


def test_certificates_from_the_environment_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://far:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/certs")
    assert find_address().tls == Path("/certs")
    assert find_address().verify


def test_a_context_that_is_gone_is_named(configuration: Path) -> None:
    (configuration / "config.json").write_text('{"currentContext": "gone"}')
    with pytest.raises(SetupError, match="context 'gone' does not exist"):
        find_address()


@pytest.mark.parametrize("text", ["{", "[]", '{"Endpoints": {}}'])
def test_a_broken_context_is_named(configuration: Path, text: str) -> None:
    key = add_context(configuration, "odd", "tcp://x")
    (configuration / "contexts" / "meta" / key / "meta.json").write_text(text)
    (configuration / "config.json").write_text('{"currentContext": "odd"}')
    with pytest.raises(SetupError, match="'odd' cannot be read"):
        find_address()


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_configuration_is_named(configuration: Path, text: str) -> None:
    (configuration / "config.json").write_text(text)
    with pytest.raises(SetupError, match=r"config[.]json cannot be read"):
        find_address()


@pytest.mark.parametrize("url", ["ssh://me@far", "npipe:////./pipe/x", "http+unix://x"])
def test_addresses_that_are_not_supported_are_refused_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    with pytest.raises(SetupError, match="not supported") as caught:
        find_address()
    assert "DOCKER_HOST" in caught.value.hint


def test_no_socket_at_a_named_place_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SetupError, match=r"none.sock.*DOCKER_HOST.*no such socket"):
        Engine.connect()


def test_a_stopped_engine_is_told_from_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(SetupError, match=r"DOCKER_HOST.*nothing answers") as caught:
        Engine.connect()
    assert "unset DOCKER_HOST" in caught.value.hint
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setattr("sandbox.engine.DEFAULT_SOCKET", f"unix://{path}")
    with pytest.raises(SetupError, match="not running") as caught:
        Engine.connect()
    assert "systemctl start docker" in caught.value.hint
    monkeypatch.setattr("sandbox.engine.DEFAULT_SOCKET", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SetupError, match="not installed") as caught:
        Engine.connect()
    assert "apt-get install docker.io" in caught.value.hint
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(SetupError, match="not running"):
        Engine.connect()


@pytest.mark.parametrize("written", ["/var/run/docker.sock", "somewhere"])
def test_what_is_no_address_is_said_to_be_none(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", written)
    with pytest.raises(SetupError, match=f"'{written}', which is no address") as caught:
        find_address()
    assert "unix:///var/run/docker.sock" in caught.value.hint


def test_a_server_of_another_kind_is_told_from_silence() -> None:
    address = Address("tcp://127.0.0.1:1", "from DOCKER_HOST")
    answered = OSError("404 Client Error")
    answered.response = object()  # type: ignore[attr-defined]
    assert "answers otherwise than a Docker engine" in explain(address, answered).message
    assert "does not answer" in explain(address, TimeoutError("timed out")).message


def test_no_permission_says_which_group() -> None:
    address = Address(DEFAULT_SOCKET, "the default")
    error = explain(address, PermissionError(13, "Permission denied"))
    assert "permission denied" in error.message
    assert "usermod -aG docker" in error.hint


@pytest.mark.parametrize("problem", [PermissionError(13, "no"), FileNotFoundError(2, "no")])
def test_a_podman_that_cannot_be_used_says_how_to_start_one(problem: OSError) -> None:
    error = explain(Address("unix:///run/podman/podman.sock", "from DOCKER_HOST"), problem)
    assert "No Podman can be used at unix:///run/podman/podman.sock" in error.message
    assert "systemctl --user start podman.socket" in error.hint


def test_a_context_whose_host_is_away_is_named(configuration: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    add_context(configuration, "far", f"tcp://127.0.0.1:{port}")
    (configuration / "config.json").write_text('{"currentContext": "far"}')
    with pytest.raises(SetupError, match=r"context 'far'.*does not answer") as caught:
        Engine.connect()
    assert "docker context use default" in caught.value.hint


def test_what_is_no_docker_engine_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
        monkeypatch.setattr("sandbox.engine.ANSWER_SECONDS", 0.3)
        with pytest.raises(SetupError, match="does not answer"):
            Engine.connect()


# -- which version is spoken ----------------------------------------------------------------------


PODMAN_HOST = {
    "os": "linux",
    "arch": "arm64",
    "cpus": 4,
    "memTotal": 1 << 33,
    "kernel": "6.12.0",
    "cgroupVersion": "v2",
    "cgroupControllers": ["memory", "pids"],
    "ociRuntime": {"name": "crun"},
    "security": {"seccompEnabled": True},
}


class FakeEngine(BaseHTTPRequestHandler):
    """An engine that refuses all versions of the API but those from `oldest` to `newest`."""

    oldest, newest = (1, 41), (1, 41)
    libpod = ""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        _, version, rest = self.path.split("/", 2) if self.path.count("/") > 1 else ("", "", "")
        if self.path == "/version":
            texts = [".".join(map(str, v)) for v in (self.newest, self.oldest)]
            api, least = texts
            said = {"Version": "99.1", "ApiVersion": api, "MinAPIVersion": least}
            self.answer(200, said)
        elif self.path == "/_ping":
            more = {"Libpod-Api-Version": self.libpod} if self.libpod else {}
            self.answer(200, "OK", {"Api-Version": "1.41", **more})
        elif rest == "libpod/info":
            self.answer(200, {"host": PODMAN_HOST})
        elif self.oldest <= tuple(map(int, version[1:].split("."))) <= self.newest:
            self.answer(200, {"Architecture": "x86_64", "SecurityOptions": ["name=seccomp"]})
        else:
            self.answer(400, {"message": f"client version {version} is too old or too new"})

    def answer(self, status: int, content: Any, headers: Mapping[str, str] = {}) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def fake_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., type[FakeEngine]]]:
    """Starts an engine that answers as told, at DOCKER_HOST."""
    servers = []

    def start(**what: Any) -> type[FakeEngine]:
        kind = type("Kind", (FakeEngine,), {"asked": [], **what})
        path = tmp_path / "fake.sock"
        servers.append(socketserver.UnixStreamServer(str(path), kind))
        threading.Thread(target=servers[-1].serve_forever, args=[0.01], daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        return kind

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("oldest", "newest", "spoken"),
    [
        ((1, 12), (1, 41), "1.41"),  # Docker 20.10
        ((1, 24), (1, 51), "1.44"),  # Docker 28: no newer than what is known here
        ((1, 44), (1, 52), "1.44"),  # Docker 29: refuses what older clients speak
        ((1, 50), (1, 60), "1.50"),  # one to come
    ],
)
def test_an_engine_is_spoken_to_in_a_version_that_it_takes(
    fake_engine: Any, oldest: tuple[int, int], newest: tuple[int, int], spoken: str
) -> None:
    fake = fake_engine(oldest=oldest, newest=newest)
    engine = Engine.connect()
    assert engine.api_version == spoken
    assert fake.asked == ["/_ping", "/version", f"/v{spoken}/info"]
    assert engine.name == "Docker 99.1 with runc"
    assert engine.lack == ""


def test_an_engine_that_is_too_old_is_refused(fake_engine: Any) -> None:
    fake_engine(oldest=(1, 12), newest=(1, 40))
    with pytest.raises(SetupError, match=r"version 99[.]1") as caught:
        Engine.connect()
    assert "20.10 or newer" in caught.value.hint


def test_podman_is_asked_in_its_own_words_what_it_may_limit(fake_engine: Any) -> None:
    fake = fake_engine(libpod="5.4.2")
    engine = Engine.connect()
    assert fake.asked == ["/_ping", "/v5.4.2/libpod/info"]
    assert engine.name == "Podman 5.4.2 with crun"
    assert engine.abilities.lacking == ("processor time",)
    assert "processor time (see `greenroom doctor`)" in engine.lack
    assert engine.as_dict()["lacking"] == ["processor time"]


# -- over the network ---------------------------------------------------------------------------


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    far_reader, far_writer = await asyncio.open_unix_connection("/var/run/docker.sock")

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()

    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))


def certificates(folder: Path) -> None:
    """An authority, and a key that it signed for localhost, used at both ends."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    request = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(
        *request, "-x509", "-days", "2", "-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.pem"
    )
    openssl(*request, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "key.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl(
        "x509",
        "-req",
        "-in",
        "key.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-days",
        "2",
        "-CAcreateserial",
        "-extfile",
        "names",
        "-out",
        "cert.pem",
    )


@pytest.mark.docker
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_sandbox_works_over_the_network(
    image: Image, make_base: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    context = None
    if tls:
        certificates(tmp_path)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("DOCKER_HOST", f"tcp://localhost:{port}")
    engine = await asyncio.to_thread(Engine.connect)
    base: Base = make_base({"big": os.urandom(3_000_000)})
    async with Sandbox.open(image, base, Policy(), engine=engine) as box:
        result = await box.run("md5sum < big; cat big", output_limit=4_000_000)
        assert result.output.total == 3_000_036
        assert (
            await box.read("big", limit=4_000_000) == result.output.head[36:] + result.output.tail
        )
    engine.close()
    server.close()
