"""A sandbox with a way out to servers on this machine, and scripts inside that use it."""

import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.container import CommandResult, Sandbox
from sandbox.image import Image
from sandbox.policy import Policy
from sandbox.trees import Base
from tests.outside import CLIENT, LOOPBACK, Names, Web, certificate, listener, web

Run = Callable[..., Awaitable[CommandResult]]
Trusted = tuple[ssl.SSLContext, bytes]


@pytest.fixture(scope="module")
def base(make_base) -> Base:
    return make_base({"kept.txt": "kept\n"})


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One bare repository that may be pushed to, with one commit."""
    folder = tmp_path_factory.mktemp("git")
    work, bare = folder / "work", folder / "bare.git"
    work.mkdir()
    (work / "file.txt").write_text("from outside\n")
    identity = ("-c", "user.name=U", "-c", "user.email=u@example.org", "-c", "commit.gpgsign=false")
    for words in (
        ("init", "-q", "-b", "main", "."),
        ("add", "-A"),
        (*identity, "commit", "-qm", "first"),
        ("clone", "-q", "--bare", ".", str(bare)),
        ("-C", str(bare), "config", "http.receivepack", "true"),
    ):
        subprocess.run(["git", *words], cwd=work, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def plain(repositories: Path) -> Iterator[Web]:
    with web(git=repositories) as server:
        yield server


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Trusted:
    return certificate(tmp_path_factory.mktemp("tls"), "index.test", "other.test")


@pytest.fixture(scope="module")
def secure(repositories: Path, trusted: Trusted) -> Iterator[Web]:
    with web(trusted[0], repositories) as server:
        yield server


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """Answers with all that it was sent, backwards, when that has ended."""

    def talk(connection: socket.socket) -> None:
        said = b""
        while more := connection.recv(65536):
            said += more
        connection.sendall(said[::-1])

    with listener(talk) as port:
        yield port


class Answers:
    """A server that answers what it is told to, byte by byte."""

    text = b""
    port = 0

    def talk(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(self.text)


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    found = Answers()
    with listener(found.talk) as found.port:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(
    image: Image,
    base: Base,
    plain: Web,
    secure: Web,
    echo: int,
    answers: Answers,
    trusted: Trusted,
) -> AsyncIterator[Sandbox]:
    ports = (plain.server_port, secure.server_port, echo, answers.port)
    policy = Policy(network=tuple(f"index.test:{port}@{LOOPBACK}" for port in ports))
    async with Sandbox.open(image, base, policy, resettable=True, ca_bundle=trusted[1]) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def box(room: Sandbox, names: Names, plain: Web, secure: Web) -> Sandbox:
    names.known["index.test"] = ["127.0.0.1"]
    await room.reset()
    for server in (plain, secure):
        server.seen.clear()
        server.sent = server.received = server.most = 0
        server.take.clear()
    return room


@pytest.fixture
def run(box: Sandbox) -> Run:
    """Run a Python script inside that can talk to the proxy."""

    async def script(text: str, **options) -> CommandResult:
        result = await box.run(["python3", "-c", CLIENT + text], **options)
        assert result.ok, result.output.text
        return result

    return script
