"""Attacks on the way out: what a command must not reach by it, beside what it may reach.

Where it matters, every connection of the host leads to the test's own server, whatever its address:
so an attack that is let through succeeds, and `dialled` tells what was connected to.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from sandbox.allowlist import PUBLIC_WEB
from sandbox.container import Sandbox
from sandbox.egress import gate, tunnel
from sandbox.egress import names as resolving
from sandbox.image import Image
from sandbox.trees import Base
from tests.attacks.conftest import POLICY
from tests.outside import CLIENT, LOOPBACK, MIB, Names, Web, certificate, ended, web

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]
Inside = Callable[..., Awaitable[str]]
Certificate = tuple[ssl.SSLContext, bytes]

PRIVATE = [
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.9.9.9", "0.0.0.0", "100.64.0.1",
    "169.254.169.254", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fd00::1]",
    "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::127.0.0.1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "[2001:0:7f00:1::80ff:fffe]",
]  # fmt: skip
ODD = [
    "127.1", "127.0.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1",
    "127.0.0.01", "127.0.0.1.", "127.0.0.1..", "1270.0.1", "127.0.0.1%00", "%31%32%37.0.0.1",
    "user@127.0.0.1", "127.0.0.1,index.test", "index.test@127.0.0.1", "[::1%25lo]", "[127.0.0.1]",
    "::1",
]  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> Iterator[Web]:
    with web() as server:
        yield server


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"), "index.test", "other.test")


@pytest.fixture(scope="module")
def secure(trusted: Certificate) -> Iterator[Web]:
    with web(trusted[0]) as server:
        yield server


def opened(
    image: Image, base: Base, *network: str, **more: Any
) -> AbstractAsyncContextManager[Sandbox]:
    return Sandbox.open(image, base, replace(POLICY, network=network, **more))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(
    image: Image, base: Base, plain: Web, secure: Web, trusted: Certificate
) -> AsyncIterator[Sandbox]:
    """May reach `index.test` at the two servers, where that leads to this machine, and
    `public.test` where it leads to the internet."""
    places = (
        f"index.test:{plain.server_port}@{LOOPBACK}",
        f"index.test:{secure.server_port}@{LOOPBACK}",
        f"public.test:{plain.server_port}",
    )
    policy = replace(POLICY, network=places)
    async with Sandbox.open(image, base, policy, resettable=True, ca_bundle=trusted[1]) as box:
        yield box


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_room(image: Image, base: Base) -> AsyncIterator[Sandbox]:
    """May reach any public host at the ports of the web."""
    async with opened(image, base, PUBLIC_WEB) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def box(room: Sandbox, names: Names, plain: Web, secure: Web) -> AsyncIterator[Sandbox]:
    names.known["index.test"] = ["127.0.0.1"]
    await room.reset()
    for server in (plain, secure):
        server.seen.clear()
        server.take.clear()
    yield room
    await room.reset()
    assert (await room.run("cat kept.txt")).output.text == "kept\n"
    assert [r for r in room.requests if "fault of greenroom" in r.why] == []


@pytest.fixture
def inside(box: Sandbox) -> Inside:
    """Run a script that talks to the proxy: what it printed."""

    async def run(script: str, where: Sandbox = box) -> str:
        result = await where.run(["python3", "-c", CLIENT + script])
        assert result.ok, result.output.text
        return result.output.text

    return run


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch, plain: Web) -> list[str]:
    """The addresses that were connected to; each leads to the test's own server."""
    found: list[str] = []
    real = asyncio.open_connection

    async def connect(host: str, port: int, **options: Any) -> Any:
        found.append(host)
        return await real("127.0.0.1", plain.server_port, **options)

    monkeypatch.setattr(asyncio, "open_connection", connect)
    return found


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request asks the name server anew."""
    monkeypatch.setattr(resolving, "KEPT_SECONDS", 0.0)


# -- addresses ----------------------------------------------------------------------------------


async def test_private_addresses_are_not_reached(
    inside: Inside, open_room: Sandbox, image: Image, base: Base, dialled: list[str], plain: Web
) -> None:
    script = (
        f"for host in {PRIVATE}:\n"
        "    print(get(f'http://{host}/')[9:12].decode(), tunnel(f'{host}:443')[1][9:12].decode())"
    )
    assert (await inside(script, open_room)).splitlines() == ["403 403"] * len(PRIVATE)
    assert dialled == []
    # Permitted one by one, each of them would be.
    async with opened(image, base, *(f"{host}:80" for host in PRIVATE)) as permitted:
        script = f"for host in {PRIVATE}: print(get(f'http://{{host}}/')[9:12].decode())"
        assert (await inside(script, permitted)).splitlines() == ["200"] * len(PRIVATE)
    assert "169.254.169.254" in dialled
    assert len(plain.seen) == len(PRIVATE)


async def test_odd_spellings_of_an_address_reach_nothing(
    inside: Inside, open_room: Sandbox, names: Names, dialled: list[str], plain: Web
) -> None:
    names.known["public.test"] = ["8.8.8.8"]
    script = (
        "for host in {}:\n"
        "    found = [get(f'http://{{host}}/', 'x'), get(f'http://{{host}}:80/')]\n"
        "    found.append(tunnel(f'{{host}}:80')[1])\n"
        "    print(*(answer[9:12].decode() for answer in found))"
    )
    answers = (await inside(script.format(ODD), open_room)).splitlines()
    assert len(answers) == len(ODD)
    assert {status for line in answers for status in line.split()} <= {"400", "403"}
    assert dialled == []
    assert names.asked == []
    fine = ["public.test", "8.8.8.8"]
    assert (await inside(script.format(fine), open_room)).splitlines() == ["400 200 200"] * 2
    assert set(dialled) == {"8.8.8.8"}


async def test_localhost_is_not_this_machine(
    inside: Inside, open_room: Sandbox, image: Image, base: Base, plain: Web
) -> None:
    script = f"for port in 80, {plain.server_port}: show(get(f'http://localhost:{{port}}/'))"
    assert (await inside(script, open_room)).count("HTTP/1.1 403") == 2
    assert plain.seen == []
    async with opened(image, base, f"localhost:{plain.server_port}@{LOOPBACK}") as permitted:
        assert (await inside(script, permitted)).count("this is /") == 1


async def test_a_name_that_leads_to_a_private_address_is_refused(
    inside: Inside, names: Names, dialled: list[str], plain: Web, forgetful: None
) -> None:
    script = f"show(get('http://public.test:{plain.server_port}/'))"
    for address in ("10.0.0.5", "169.254.169.254", "127.0.0.1", "::1", "::ffff:10.0.0.5"):
        names.known["public.test"] = [address]
        answer = await inside(script)
        assert answer.startswith("HTTP/1.1 403")
        # Which addresses this machine knows is not for the inside.
        assert address not in answer
    assert dialled == []
    names.known["public.test"] = ["10.0.0.5", "8.8.8.8", "::1"]
    assert "this is /" in await inside(script)
    assert dialled == ["8.8.8.8"]


async def test_the_log_says_where_a_refused_name_leads(
    box: Sandbox, inside: Inside, names: Names, dialled: list[str], plain: Web, forgetful: None
) -> None:
    names.known["public.test"] = ["10.0.0.5"]
    await inside(f"get('http://public.test:{plain.server_port}/')")
    last = box.requests[-1]
    assert last.outcome == "refused"
    assert f"public.test:{plain.server_port}@10.0.0.5" in last.why


async def test_a_name_that_changes_its_mind_leads_nowhere_else(
    inside: Inside, names: Names, dialled: list[str], plain: Web, forgetful: None
) -> None:
    names.known["public.test"] = [["8.8.8.8"], ["10.0.0.5"]]
    script = f"show(get('http://public.test:{plain.server_port}/'))"
    # What was checked is what is connected to: there is no second question.
    assert "this is /" in await inside(script)
    assert names.asked == ["public.test"]
    assert dialled == ["8.8.8.8"]
    assert (await inside(script)).startswith("HTTP/1.1 403")
    assert dialled == ["8.8.8.8"]


async def test_a_name_with_a_network_leads_nowhere_else(
    inside: Inside, names: Names, dialled: list[str], plain: Web, forgetful: None
) -> None:
    script = f"show(get('http://index.test:{plain.server_port}/'))"
    for address in ("10.0.0.5", "8.8.8.8"):
        names.known["index.test"] = [address]
        assert (await inside(script)).startswith("HTTP/1.1 403")
    assert dialled == []
    names.known["index.test"] = ["127.0.0.1"]
    assert "this is /" in await inside(script)


# -- names and ports ----------------------------------------------------------------------------


async def test_only_what_is_listed_is_reached(
    inside: Inside, names: Names, dialled: list[str], plain: Web
) -> None:
    port = plain.server_port
    names.known |= {"evil.test": ["8.8.8.8"], "index.test.evil.test": ["8.8.8.8"]}
    listed, others = f"index.test:{port}", [
        f"evil.test:{port}", f"index.test.evil.test:{port}", f"xindex.test:{port}", "test:80",
        f"index.tes:{port}", "index.test:22", "index.test:80", f"a.index.test:{port}",
    ]  # fmt: skip
    script = "for place in {}: show(tunnel(place)[1], get(f'http://{{place}}/'))"
    said = await inside(script.format(others))
    assert said.count("HTTP/1.1 403") == 2 * len(others)
    assert names.asked == []
    assert dialled == []
    assert (await inside(script.format([listed, listed.upper()]))).count("HTTP/1.1 200") == 4


async def test_the_host_that_is_told_is_the_host_that_is_asked(inside: Inside, plain: Web) -> None:
    place = f"index.test:{plain.server_port}"
    for host in ("evil.test", f"evil.test:{plain.server_port}", "index.test", "index.test:80", ""):
        said = await inside(f"show(get('http://{place}/', {host!r}))")
        assert said.startswith("HTTP/1.1 400"), host
    for host in ("evil.test", f"evil.test:{plain.server_port}", "index.test:80", ""):
        said = await inside(f"show(tunnel('{place}', {host!r})[1])")
        assert said.startswith("HTTP/1.1 400"), host
    two = f"show(get('http://{place}/', more='Host: evil.test\\r\\n'))"
    assert (await inside(two)).startswith("HTTP/1.1 400")
    assert plain.seen == []
    assert "this is /" in await inside(f"show(get('http://{place}/', '{place}'))")
    assert (await inside(f"show(tunnel('{place}', 'index.test')[1])")).startswith("HTTP/1.1 200")


TLS = """
import ssl
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
def begin(place, name):
    s, answer = tunnel(place)
    try:
        with context.wrap_socket(s, server_hostname=name) as tls:
            tls.sendall(head(f"/{name}", "x").encode())
            return tls.recv(12).decode()
    except OSError as error:
        return getattr(error, "reason", None) or type(error).__name__
"""


async def test_a_tls_connection_is_for_the_name_that_was_asked_for(
    box: Sandbox, inside: Inside, secure: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "TLS_PORT", secure.server_port)
    before = len(box.requests)
    place = f"index.test:{secure.server_port}"
    script = TLS + f"for name in 'other.test', 'evil.test': print(begin('{place}', name))"
    assert (await inside(script)).splitlines() == ["TLSV1_ALERT_ACCESS_DENIED"] * 2
    assert secure.seen == []
    last = (await ended(box, before, 2))[-1]
    assert (last.outcome, last.host) == ("refused", "index.test")
    assert last.why.endswith("asked for evil.test")
    script = TLS + f"for name in 'index.test', 'INDEX.test', None: print(begin('{place}', name))"
    assert (await inside(script)).splitlines() == ["HTTP/1.1 200"] * 3


async def test_what_goes_to_the_port_of_tls_is_tls(
    box: Sandbox, inside: Inside, plain: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"index.test:{plain.server_port}"
    script = (
        f"s, answer = tunnel('{place}')\n"
        f"s.sendall(head('/hidden', 'evil.test').encode())\n"
        "print(rest(s))"
    )
    before = len(box.requests)
    assert "this is /hidden" in await inside(script)  # at another port it is what is allowed
    await ended(box, before)
    plain.seen.clear()
    before = len(box.requests)
    monkeypatch.setattr(tunnel, "TLS_PORT", plain.server_port)
    assert "this is" not in await inside(script)
    assert plain.seen == []
    [request] = await ended(box, before)
    assert "was no TLS" in request.why


# -- requests within requests -------------------------------------------------------------------

SMUGGLING = [
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{inner}",
    "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n{inner}",
    "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{inner}",
    "Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n{inner}",
    "Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{inner}",
    "Content-Length: +0\r\n\r\n{inner}",
    "Content-Length: 0x0\r\n\r\n{inner}",
    "Content-Length: 0\r\n\r\n{inner}",
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
    "Transfer-Encoding: chunked\r\n\r\n1;\n{inner}\r\nx\r\n0\r\n\r\n",
    "X: y\rContent-Length: 0\r\n\r\n{inner}",
    "X: y\x00\r\n\r\n{inner}",
    "Connection: content-length\r\nContent-Length: {length}\r\n\r\n{inner}",
    "Connection: close, host\r\n\r\n{inner}",
    "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n{inner}",
    "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n{inner}",
]


@pytest.mark.parametrize("how", SMUGGLING)
async def test_no_request_hides_in_another(
    box: Sandbox, inside: Inside, plain: Web, how: str
) -> None:
    place = f"index.test:{plain.server_port}"
    outer = f"POST http://{place}/outer HTTP/1.1\r\nHost: {place}\r\n"
    # As a server of its own would get it, and as one for another host.
    for hidden in ("GET /hidden", "GET http://evil.test/hidden"):
        inner = f"{hidden} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
        sent = outer + how.format(inner=inner, length=len(inner))
        before = len(box.requests)
        await inside(f"ask({sent!r})")
        assert plain.paths in ([], ["/outer"])
        assert 1 <= len(box.requests[before:]) <= 2
        assert {(r.host, r.method) for r in box.requests[before:]} <= {
            ("index.test", "POST"), ("evil.test", "GET"), ("", "GET"), ("", "")
        }  # fmt: skip
        plain.seen.clear()
    # Two requests in a row that are both allowed both arrive, and are both logged.
    before = len(box.requests)
    one = f"GET http://{place}/one HTTP/1.1\r\nHost: {place}\r\n\r\n"
    await inside(f"ask({one + one.replace('/one ', '/two ')!r}, head('http://{place}/three'))")
    assert plain.paths == ["/one", "/two", "/three"]
    assert [r.outcome for r in box.requests[before:]] == ["ok"] * 3


async def test_a_request_that_is_none_for_a_proxy_is_refused(
    inside: Inside, plain: Web, secure: Web
) -> None:
    place = f"index.test:{plain.server_port}"
    lines = (
        "GET / HTTP/1.1", "GET * HTTP/1.1", f"GET {place} HTTP/1.1", "OPTIONS * HTTP/1.1",
        f"GET https://index.test:{secure.server_port}/ HTTP/1.1", f"GET //{place}/ HTTP/1.1",
        f"GET ftp://{place}/ HTTP/1.1", f"GET http:/{place}/ HTTP/1.1", f"connect {place} HTTP/1.1",
        f"CONNECT http://{place}/ HTTP/1.1", "CONNECT index.test HTTP/1.1", "CONNECT / HTTP/1.1",
        f"GET http://{place}/#x HTTP/1.1", f"GET http://u:p@{place}/ HTTP/1.1",
        f"GET http://{place}\\@evil.test/ HTTP/1.1", f"CONNECT {place}/ HTTP/1.1",
        f"CONNECT {place} HTTP/1.1\r\nContent-Length: 5",
    )  # fmt: skip
    script = f"for line in {lines}: show(ask(f'{{line}}\\r\\nHost: {place}{{END}}')[:20])"
    said = (await inside(script)).splitlines()
    assert {line[:12] for line in said} <= {"HTTP/1.1 400", "HTTP/1.1 403"}
    assert len(said) == len(lines)
    assert plain.seen == secure.seen == []
    assert "this is /" in await inside(f"show(get('http://{place}/'))")


# -- using it up --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flood",
    [
        "head('http://{place}/', more='X: y\\r\\n' * 20_000)",
        "head('http://{place}/', more='X: ' + 'y' * 1_000_000 + '\\r\\n')",
        "'GET http://{place}/' + 'a' * 1_000_000",
        "'GET ' * 100_000",
        "'\\r\\n' * 100_000",
    ],
)
async def test_a_flood_of_headers_ends_its_own_connection(
    box: Sandbox, inside: Inside, plain: Web, flood: str
) -> None:
    place = f"index.test:{plain.server_port}"
    before = len(box.requests)
    said = await inside(f"show(ask({flood.format(place=place)}))")
    assert re.match("HTTP/1.1 4(00|31)|<reset>|$", said)
    assert plain.seen == []
    assert all(r.outcome == "refused" for r in box.requests[before:])
    assert all(len(r.why) <= 500 for r in box.requests[before:])
    many = f"show(get('http://{place}/', more='X: y\\r\\n' * 90))"
    assert "this is /" in await inside(many)


async def test_whatever_is_sent_the_host_survives(inside: Inside, plain: Web) -> None:
    place = f"index.test:{plain.server_port}"
    await inside(
        "import random\n"
        "random.seed(1)\n"
        "known = [b'\\x05\\x01\\x00', b'\\x16\\x03\\x01\\x02\\x00\\x01',\n"
        "         b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n', b'\\x00' * 9, b'\\xff' * 9]\n"
        "chunked = 'Transfer-Encoding: chunked\\r\\n'\n"
        f"whole = (head('http://{place}/', method='POST', more=chunked)\n"
        "         + '5\\r\\nhello\\r\\n0\\r\\n\\r\\n').encode()\n"
        "for n in range(300):\n"
        "    data = bytearray(random.choice([*known, whole, whole, random.randbytes(200)]))\n"
        "    for _ in range(random.randrange(4)):\n"
        "        data[random.randrange(len(data))] = random.randrange(256)\n"
        "    with reach() as s:\n"
        "        s.sendall(data[:random.randrange(1, len(data) + 1)])\n"
        "        if n % 3: s.shutdown(socket.SHUT_WR)\n"
        "        if n % 3 == 1: rest(s)\n"
    )
    assert "this is /after" in await inside(f"show(get('http://{place}/after'))")


async def test_a_storm_of_connections_leaves_none(box: Sandbox, inside: Inside, plain: Web) -> None:
    place = f"index.test:{plain.server_port}"
    storm = (
        "held = []\n"
        "for n in range(2000):\n"
        "    s = socket.socket(); s.setblocking(False)\n"
        "    try: s.connect(('127.0.0.1', PORT))\n"
        "    except BlockingIOError: pass\n"
        "    if n % 2: s.close()\n"
        "    else: held.append(s)\n"
        "time.sleep(0.5)\n"
    )
    await inside(storm)
    assert "this is /after" in await inside(f"show(get('http://{place}/after'))")


async def test_a_storm_that_takes_all_descriptors_passes(
    image: Image, base: Base, names: Names, plain: Web, inside: Inside
) -> None:
    place = f"index.test:{plain.server_port}"
    names.known["index.test"] = ["127.0.0.1"]
    async with opened(image, base, f"{place}@{LOOPBACK}", open_files=40) as box:
        storm = (
            "for _ in range(4):\n"
            "    if os.fork() == 0: break\n"
            "held = [reach() for _ in range(25)]\n"
            "for s in held: s.sendall(b'x')\n"
            "time.sleep(0.5)\n"
        )
        await inside(storm, box)
        async with asyncio.timeout(60):
            while not (await box.run("true")).ok:  # the last connections may be closing still
                await asyncio.sleep(0.05)
        assert "this is /after" in await inside(f"show(get('http://{place}/after'))", box)


async def test_too_many_bytes_end_everything(
    image: Image, base: Base, names: Names, plain: Web, inside: Inside
) -> None:
    place = f"index.test:{plain.server_port}"
    names.known["index.test"] = ["127.0.0.1"]
    async with opened(image, base, f"{place}@{LOOPBACK}", network_bytes=8 * MIB) as box:
        fine = f"print(len(get('http://{place}/big?mib=4')) > 4 << 20)"
        assert await inside(fine, box) == "True\n"
        too_many = (
            f"s, _ = tunnel('{place}')\n"  # another one, which ends with it
            f"found = get('http://{place}/big?mib=100')\n"
            "print(len(found) < 8 << 20, found.endswith(b'<reset>'), rest(s))"
        )
        assert await inside(too_many, box) == "True True b'<reset>'\n"
        said = await inside(f"show(get('http://{place}/'), tunnel('{place}')[1])", box)
        assert said.count("HTTP/1.1 403 the 8,388,608 bytes") == 2
        refused = [r for r in box.requests if r.outcome == "refused"]
        assert len(refused) == 4
        assert all("are used up" in r.why for r in refused)
        assert sum(r.sent + r.received for r in box.requests) < 9 * MIB


async def test_a_list_of_requests_has_an_end(
    image: Image,
    base: Base,
    names: Names,
    plain: Web,
    inside: Inside,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = f"index.test:{plain.server_port}"
    names.known["index.test"] = ["127.0.0.1"]
    monkeypatch.setattr(gate, "MOST_REQUESTS", 10)
    async with opened(image, base, f"{place}@{LOOPBACK}") as box:
        script = (
            "for _ in range(14):\n"
            f"    try: print(get('http://{place}/')[9:40].decode())\n"
            "    except ConnectionError: print('closed')\n"
        )
        said = [line for line in (await inside(script, box)).splitlines() if line[:1].isdigit()]
        assert [line[:3] for line in said] == ["200"] * 10 + ["403"]
        assert said[10].startswith("403 more than 10 requests")
        assert len(box.requests) == 11


# -- other ways ---------------------------------------------------------------------------------


async def test_there_is_no_way_out_where_nothing_is_allowed(
    image: Image, base: Base, box: Sandbox, inside: Inside, plain: Web
) -> None:
    script = (
        f"for port in PORT, {plain.server_port}:\n"
        "    try: reach(port); print('reached')\n"
        "    except OSError as error: print(type(error).__name__)\n"
    )
    async with opened(image, base) as closed:
        # Neither a proxy of its own, nor that of the sandbox beside it.
        assert (await inside(script, closed)).split() == ["ConnectionRefusedError"] * 2
    assert (await inside(script)).split() == ["reached", "ConnectionRefusedError"]


async def test_the_way_out_of_another_sandbox_is_its_own(
    image: Image, base: Base, box: Sandbox, inside: Inside, plain: Web
) -> None:
    script = f"show(get('http://index.test:{plain.server_port}/mine'))"
    async with opened(image, base, "other.test:80") as other:
        before = len(box.requests)
        assert (await inside(script, other)).startswith("HTTP/1.1 403")
        assert len(box.requests) == before
        assert len(other.requests) == 1
    assert "this is /mine" in await inside(script)


async def test_the_proxy_is_not_a_way_to_the_sandbox_itself(
    inside: Inside, open_room: Sandbox, plain: Web
) -> None:
    script = "show(get('http://127.0.0.1:{}/'), tunnel('localhost:{}')[1])"
    said = await inside(script.format(*["'+str(PORT)+'"] * 2), open_room)
    assert said.count("HTTP/1.1 403") == 2
