"""The way out for real: a container, servers on this machine, and the programs that people use."""

import asyncio
import hashlib
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.policy import Policy
from sandbox.profile import PROXY_PORT
from sandbox.trees import Base
from tests.outside import CLIENT, LOOPBACK, MIB, Names, Web, ended
from tests.sandbox.egress.conftest import Answers, Run, Trusted

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def written(box: Sandbox, path: str) -> bytes:
    """A file's content as soon as it is there."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await box.read(path)
            except FileNotFoundError:
                await asyncio.sleep(0.05)


async def settled(value: Callable[[], int]) -> int:
    """A number when it has not changed for a while."""
    before, same = value(), 0
    while same < 10:
        await asyncio.sleep(0.1)
        before, same = value(), same + 1 if value() == before else 0
    return before


# -- what is inside -----------------------------------------------------------------------------


async def test_programs_find_the_proxy_and_the_certificates(box: Sandbox, trusted: Trusted) -> None:
    found = (await box.run("env")).output.text
    proxy = f"http://127.0.0.1:{PROXY_PORT}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        assert f"{name}={proxy}\n" in found
    assert "NO_PROXY=localhost,127.0.0.1,::1\n" in found
    assert "PIP_NO_INDEX" not in found
    place = re.findall("^SSL_CERT_FILE=(.+)$", found, re.MULTILINE)[0]
    for name in ("REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"):
        assert f"{name}={place}\n" in found
    assert (await box.run(["cat", place])).output.head == trusted[1]


async def test_there_is_still_no_network_device(box: Sandbox) -> None:
    assert (await box.run("ls /sys/class/net")).output.text.split() == ["lo"]


async def test_without_a_place_there_is_no_proxy(image: Image, base: Base) -> None:
    async with Sandbox.open(image, base, Policy(), ca_bundle=b"unused") as box:
        found = (await box.run("env; ls /run/greenroom")).output.text
        assert "PIP_NO_INDEX=1\n" in found
        assert "proxy" not in found.lower()
        assert "SSL_CERT_FILE" not in found
        assert "certificates" not in found
        refused = await box.run(["python3", "-c", CLIENT + "reach()"])
        assert "ConnectionRefusedError" in refused.output.text
        assert box.requests == ()


# -- plain HTTP ---------------------------------------------------------------------------------


async def test_a_page_is_read_and_logged(box: Sandbox, plain: Web, run: Run) -> None:
    before = len(box.requests)
    script = (
        "import urllib.request as u\n"
        f"print(u.urlopen('http://index.test:{plain.server_port}/a?b=c').read())"
    )
    assert (await run(script)).output.text == "b'this is /a?b=c'\n"
    [(method, path, headers)] = plain.seen
    assert (method, path) == ("GET", "/a?b=c")
    assert headers["Host"] == f"index.test:{plain.server_port}"
    [last] = await ended(box, before)
    assert (last.method, last.host, last.port) == ("GET", "index.test", plain.server_port)
    assert (last.outcome, last.why, last.address, last.via) == ("ok", "", "127.0.0.1", "")
    assert 0 < last.sent < 1000
    assert 0 < last.received < 1000


async def test_one_connection_serves_many_requests_and_each_is_logged(
    box: Sandbox, plain: Web, run: Run
) -> None:
    before = len(box.requests)
    result = await run(
        f"url = 'http://index.test:{plain.server_port}/'\n"
        "one = head(url + '1').replace('Connection: close\\r\\n', '')\n"
        "show(ask(one, one.replace('/1', '/2'), head(url + '3')))"
    )
    assert re.findall("this is /[0-9]", result.output.text) == [f"this is /{n}" for n in "123"]
    assert plain.paths == ["/1", "/2", "/3"]
    assert [r.outcome for r in await ended(box, before, 3)] == ["ok"] * 3


async def test_what_belongs_to_a_connection_is_not_passed_on(plain: Web, run: Run) -> None:
    await run(
        f"url = 'http://index.test:{plain.server_port}/'\n"
        "more = ('Proxy-Authorization: Basic c2VjcmV0\\r\\nProxy-Connection: keep-alive\\r\\n'\n"
        "        'X-One: 1\\r\\nX-Two: 2\\r\\nTE: trailers\\r\\nUpgrade: h2c\\r\\n')\n"
        "show(ask(head(url, more=more).replace('Connection: close', 'Connection: close, X-One')))"
    )
    [(_, _, headers)] = plain.seen
    assert {name.lower() for name in headers} == {"host", "x-two", "connection"}


async def test_other_methods_and_answers_without_a_body(plain: Web, run: Run) -> None:
    port = plain.server_port
    result = await run(
        "import http.client\n"
        f"connection = http.client.HTTPConnection('127.0.0.1', {PROXY_PORT})\n"
        "for method in ('HEAD', 'GET', 'DELETE'):\n"
        f"    connection.request(method, 'http://index.test:{port}/x')\n"
        "    answer = connection.getresponse()\n"
        "    print(method, answer.status, answer.getheader('Content-Length'), answer.read())\n"
    )
    assert result.output.text.splitlines() == [
        "HEAD 200 10 b''",
        "GET 200 10 b'this is /x'",
        "DELETE 200 10 b'this is /x'",
    ]


@pytest.mark.parametrize("how", ["length", "chunks", "expect"])
async def test_a_large_upload_arrives_whole(plain: Web, run: Run, how: str) -> None:
    framing = {
        "length": "{'Content-Length': str(24 << 20)}",
        "chunks": "{'Transfer-Encoding': 'chunked'}",
        "expect": "{'Content-Length': str(24 << 20), 'Expect': '100-continue'}",
    }[how]
    result = await run(
        "import http.client\n"
        f"connection = http.client.HTTPConnection('127.0.0.1', {PROXY_PORT})\n"
        "body = (bytes([n % 251]) * (1 << 20) for n in range(24))\n"
        f"url = 'http://index.test:{plain.server_port}/upload'\n"
        f"connection.request('POST', url, body, {framing}, encode_chunked={how == 'chunks'})\n"
        "print(connection.getresponse().read().decode())"
    )
    sent = b"".join(bytes([n % 251]) * MIB for n in range(24))
    assert result.output.text.strip() == hashlib.sha256(sent).hexdigest()
    assert plain.received == 24 * MIB


async def test_a_redirect_to_a_place_that_is_not_listed_is_refused(
    box: Sandbox, plain: Web, names: Names, run: Run
) -> None:
    names.known["elsewhere.test"] = ["127.0.0.1"]
    before = len(box.requests)
    url = f"http://index.test:{plain.server_port}"
    follow = "import urllib.request as u\nprint(u.urlopen('{}/redirect?to={}').read())"
    assert (await run(follow.format(url, f"{url}/there"))).output.text == "b'this is /there'\n"
    elsewhere = f"http://elsewhere.test:{plain.server_port}/there"
    refused = await box.run(["python3", "-c", follow.format(url, elsewhere)])
    assert f"403: elsewhere.test:{plain.server_port} is not on the list" in refused.output.text
    told = [(each.host, each.outcome) for each in await ended(box, before, 4)]
    # What was let through is told of when both of its sides have ended, maybe after a refusal.
    assert sorted(told) == [("elsewhere.test", "refused"), *[("index.test", "ok")] * 3]
    assert names.asked.count("elsewhere.test") == 0


async def test_a_refusal_says_what_is_allowed(box: Sandbox, plain: Web, run: Run) -> None:
    answer = (await run("show(get('http://evil.test/'))")).output.text
    assert answer.startswith("HTTP/1.1 403 evil.test:80 is not on the list of places")
    assert f"index.test:{plain.server_port}@{LOOPBACK}" in answer.partition(" |  | ")[2]


async def test_what_does_not_resolve_or_answer_is_said(
    image: Image, base: Base, names: Names
) -> None:
    names.known["index.test"] = ["127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    policy = Policy(network=("nowhere.test:80", f"index.test:{port}@{LOOPBACK}"))
    async with Sandbox.open(image, base, policy) as other:
        script = f"show(get('http://nowhere.test/'), get('http://index.test:{port}/'))"
        said = (await other.run(["python3", "-c", CLIENT + script])).output.text
        assert "HTTP/1.1 502 the name nowhere.test does not resolve" in said
        assert "HTTP/1.1 502 127.0.0.1 cannot be connected to: Connection refused" in said
        assert [r.outcome for r in await ended(other, count=2)] == ["failed", "failed"]


CUT = "Content-Length: 9\r\n\r\nabc"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 abc"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 abc"),
        ("HTTP/1.0 200 OK\r\n\r\nabc", "200 abc"),
        ("HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nabc", "404 abc"),
        ("HTTP/1.1 204 Nothing\r\n\r\n", "204 "),
        ("HTTP/1.1 304 Same\r\nContent-Length: 99\r\n\r\n", "304 "),
        (f"HTTP/1.1 200 OK\r\n{CUT}", "IncompleteRead"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", "IncompleteRead"),
        ("SSH-2.0-OpenSSH\r\n", "502"),
        ("HTTP/1.1 101 Switched\r\n\r\n", "502"),
        ("HTTP/1.1 200 OK\r\nX: " + "y" * 100_000, "502"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "502"),
        ("", "502"),
    ],
)
async def test_what_a_server_answers_is_passed_on_or_told_to_be_none(
    box: Sandbox, answers: Answers, answer: str, told: str
) -> None:
    answers.text = answer.encode()
    script = (
        "import http.client\n"
        f"connection = http.client.HTTPConnection('127.0.0.1', {PROXY_PORT})\n"
        f"connection.request('GET', 'http://index.test:{answers.port}/')\n"
        "try:\n"
        "    answer = connection.getresponse()\n"
        "    print(answer.status, answer.read().decode())\n"
        "except (http.client.HTTPException, ConnectionError) as error:\n"
        "    print(type(error).__name__)\n"
    )
    before = len(box.requests)
    said = (await box.run(["python3", "-c", script])).output.text
    assert said.startswith(told) or (told == "IncompleteRead" and "Connection" in said)
    [request] = await ended(box, before)
    assert request.outcome == ("ok" if told[1:3] in ("00", "04") else "failed")


# -- tunnels ------------------------------------------------------------------------------------


async def test_https_works_and_what_is_inside_stays_its_own(
    box: Sandbox, secure: Web, run: Run
) -> None:
    before = len(box.requests)
    script = (
        "import urllib.request as u\n"
        f"print(u.urlopen('https://index.test:{secure.server_port}/secret').read())"
    )
    assert (await run(script)).output.text == "b'this is /secret'\n"
    [last] = await ended(box, before)
    assert (last.method, last.host, last.outcome) == ("CONNECT", "index.test", "ok")
    assert "secret" not in repr(last)


async def test_git_clones_fetches_and_pushes(
    box: Sandbox, plain: Web, secure: Web, repositories: Path
) -> None:
    for scheme, server in (("http", plain), ("https", secure)):
        url = f"{scheme}://index.test:{server.server_port}/git/bare.git"
        result = await box.run(
            f"git clone -q {url} {scheme} && cd {scheme} && cat file.txt && "
            "head -c 3000000 /dev/urandom > large && git add large && "
            "git -c user.name=U -c user.email=u@e.org commit -qm more && "
            f"git push -q origin HEAD:refs/heads/{scheme} && git ls-remote origin {scheme}"
        )
        assert result.ok, result.output.text
        assert result.output.text.startswith("from outside\n")
        arrived = (repositories / f"bare.git/refs/heads/{scheme}").read_text()
        assert arrived.strip() in result.output.text


async def test_one_side_may_end_before_the_other(echo: int, run: Run) -> None:
    result = await run(
        f"s, answer = tunnel('index.test:{echo}')\n"
        "s.sendall(b'x' * 100000 + b'abc')\n"
        "s.shutdown(socket.SHUT_WR)\n"
        "back = rest(s)\n"
        "print(answer.split(b'\\r')[0].decode(), back[:5], len(back))"
    )
    assert result.output.text == "HTTP/1.1 200 Connection established b'cbaxx' 100003\n"


async def test_many_connections_take_turns(box: Sandbox, plain: Web, run: Run) -> None:
    holding = asyncio.create_task(
        run(
            "import threading\n"
            "found = []\n"
            f"url = 'http://index.test:{plain.server_port}/held'\n"
            "threads = [threading.Thread(target=lambda: found.append(get(url)[-4:]))\n"
            "           for _ in range(150)]\n"
            "for t in threads: t.start()\n"
            "for t in threads: t.join()\n"
            "print(found.count(b'held'))"
        )
    )
    assert await settled(lambda: plain.now) == 64
    plain.take.set()
    assert (await holding).output.text == "150\n"
    assert plain.most == 64


async def test_a_slow_reader_holds_up_its_server_and_nobody_s_memory(
    box: Sandbox, plain: Web, run: Run
) -> None:
    reading = asyncio.create_task(
        run(
            f"s = reach(); s.sendall(head('http://index.test:{plain.server_port}/big?mib=150').encode())\n"
            "while not os.path.exists('go'): time.sleep(0.05)\n"
            "print(len(rest(s).partition(b'\\r\\n\\r\\n')[2]))"
        )
    )
    while not plain.sent:
        await asyncio.sleep(0.05)
    assert await settled(lambda: plain.sent) < 32 * MIB
    # Others have their way meanwhile.
    other = f"show(get('http://index.test:{plain.server_port}/other'))"
    assert "this is /other" in (await run(other)).output.text
    await box.write("go", b"")
    assert (await reading).output.text == f"{150 * MIB}\n"


async def test_a_reader_that_rests_before_the_end_gets_all_of_it(plain: Web, run: Run) -> None:
    # Wherever the rest of it waits meanwhile, in this process or in the sandbox.
    url = f"http://index.test:{plain.server_port}/big?mib=8"
    result = await run(
        "import threading\n"
        "def read(resting):\n"
        "    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)\n"
        f"    s.connect(('127.0.0.1', PORT)); s.sendall(head('{url}').encode())\n"
        "    found = s.makefile('rb')\n"
        "    while found.readline().strip(): pass\n"
        "    first = len(found.read((8 << 20) - resting))\n"
        "    time.sleep(4)\n"
        "    print(first + len(found.read()) - (8 << 20))\n"
        "threads = [threading.Thread(target=read, args=(n << 17,)) for n in range(1, 50)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
    )
    assert result.output.text.split() == ["0"] * 49


async def test_a_fast_sender_is_held_up_by_its_server(box: Sandbox, plain: Web, run: Run) -> None:
    sending = asyncio.create_task(
        run(
            f"s = reach(); body = 150 << 20\n"
            f"url = 'http://index.test:{plain.server_port}/reluctant'\n"
            "s.sendall(head(url, method='POST', more=f'Content-Length: {body}\\r\\n').encode())\n"
            "piece, sent = bytes(1 << 18), 0\n"
            "while sent < body:\n"
            "    sent += s.send(piece[:body - sent])\n"
            "    open('sent', 'w').write(str(sent))\n"
            "show(rest(s)[-64:])"
        )
    )

    before, same = b"", 0
    while same < 10:
        await asyncio.sleep(0.1)
        now = await written(box, "sent")
        before, same = now, same + 1 if now == before and now else 0
    assert int(before) < 32 * MIB
    plain.take.set()
    assert (await sending).output.text.strip() == hashlib.sha256(bytes(150 * MIB)).hexdigest()


async def test_the_end_of_a_command_ends_its_connections(box: Sandbox, echo: int) -> None:
    before = len(box.requests)
    result = await box.run(
        ["python3", "-c", CLIENT + f"s, _ = tunnel('index.test:{echo}')\ntime.sleep(60)"], timeout=1
    )
    assert result.reason == "timeout"
    [request] = await ended(box, before)
    assert request.outcome == "ok"


async def test_a_reset_ends_all_connections(box: Sandbox, plain: Web, run: Run) -> None:
    before = len(box.requests)
    waiting = asyncio.create_task(
        box.run(["python3", "-c", CLIENT + f"get('http://index.test:{plain.server_port}/held')"])
    )
    while "/held" not in plain.paths:
        await asyncio.sleep(0.05)
    await box.reset()
    assert not (await waiting).ok
    [request] = await ended(box, before)
    assert (request.outcome, request.why) == ("failed", "the inside closed the connection")
    plain.take.set()
    again = f"show(get('http://index.test:{plain.server_port}/again'))"
    assert "this is /again" in (await run(again)).output.text


async def test_each_request_is_told_of_once_also_at_the_end(
    image: Image, base: Base, plain: Web, echo: int, names: Names
) -> None:
    names.known["index.test"] = ["127.0.0.1"]
    told = []
    policy = Policy(
        network=(f"index.test:{plain.server_port}@{LOOPBACK}", f"index.test:{echo}@{LOOPBACK}")
    )
    async with Sandbox.open(image, base, policy, on_request=told.append) as box:
        script = f"show(get('http://index.test:{plain.server_port}/'), get('http://evil.test/'))"
        assert (await box.run(["python3", "-c", CLIENT + script])).ok
        assert [r.outcome for r in told] == ["ok", "refused"]
        hold = f"s, _ = tunnel('index.test:{echo}')\nopen('open', 'w')\ntime.sleep(60)"
        holding = asyncio.create_task(box.run(["python3", "-c", CLIENT + hold]))
        await written(box, "open")
        assert len(told) == 2
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
    assert len(told) == 3
    assert tuple(told) == box.requests


async def test_a_fork_has_the_same_way_out(box: Sandbox, plain: Web) -> None:
    async with box.fork() as other:
        script = f"show(get('http://index.test:{plain.server_port}/fork'))"
        result = await other.run(["python3", "-c", CLIENT + script])
        assert "this is /fork" in result.output.text
        assert [r.outcome for r in await ended(other)] == ["ok"]
