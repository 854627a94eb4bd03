"""Attacks from code that runs while an image is built: a package's setup.py, a setup command."""

import asyncio
import textwrap
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import buildroom
from sandbox.buildjob import BuildSettings, Stopped
from sandbox.engine import Engine
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.install import Install
from sandbox.leftovers import OWNER_LABEL, this_process
from sandbox.policy import Policy
from sandbox.probes import PRELUDE
from tests.attacks.conftest import Plainly
from tests.outside import Names, listener
from tests.sandbox.printed import printed

pytestmark = pytest.mark.docker

Built = Callable[..., Awaitable[str]]
PIP = "python3 -m pip install --no-build-isolation --no-index ./evil"


@pytest.fixture
async def built(engine: Engine, image: Image, tmp_path: Path) -> AsyncIterator[Built]:
    """Installs a package whose setup.py is the script, or runs commands; what the script left in
    /result. `said` is what was shown."""
    made: list[str] = []

    async def build(
        script: str = "",
        *setup: str,
        said: list[str] | None = None,
        settings: BuildSettings | None = None,
    ) -> str:
        said = [] if said is None else said
        text = (
            f"{PRELUDE}\nimport contextlib, setuptools\n"
            "with open('/result', 'w') as file, contextlib.redirect_stdout(file):\n"
            f"{textwrap.indent(script, '    ')}\n"
            "setuptools.setup(name='evil', version='1', py_modules=[])\n"
        )
        files = (("evil/setup.py", text.encode()), ("unique", uuid.uuid4().bytes))
        installs = (Install("other", "", files, (PIP,)),) if script else ()
        spec = ImageSpec(installs=installs, setup=tuple(f"{c} # {uuid.uuid4()}" for c in setup))
        found = await ensure_image(
            spec,
            engine=engine,
            settings=settings or BuildSettings(),
            cache=tmp_path / "cache",
            progress=said.append,
            live=said.append,
        )
        made.append(found.name)
        return printed(engine, found, "cat /result")

    yield build
    for name in reversed(made):
        engine.api.remove_image(name)


def verdicts(text: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in text.splitlines())  # type: ignore[misc]


ASK = """
import urllib.request
os.environ.update(no_proxy='', NO_PROXY='')
proxy = urllib.request.ProxyHandler({'http': 'http://127.0.0.1:17310'})
opener = urllib.request.build_opener(proxy)
def ask(place):
    opener.open('http://' + place + '/', timeout=5).read()
def tunnel(place):
    import http.client
    connection = http.client.HTTPConnection('127.0.0.1', 17310, timeout=5)
    host, port = place.rsplit(':', 1)
    connection.set_tunnel(host, int(port))
    connection.request('GET', '/')
def tell(place, call):
    try: call(place); print(call.__name__ + ':' + place, 'worked')
    except urllib.error.HTTPError as error: print(call.__name__ + ':' + place, error.code)
    except OSError as error: print(call.__name__ + ':' + place, error)
"""


async def test_a_setup_py_that_asks_for_private_addresses_is_refused_and_named(
    built: Built, names: Names
) -> None:
    reached: list[Any] = []

    def talk(connection: Any) -> None:
        reached.append(connection.recv(1))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    names.known["inward.test"] = ["127.0.0.1"]
    with listener(talk) as port:
        own = f"127.0.0.1:{port}"
        places = [own, f"inward.test:{port}", "169.254.169.254:80", "10.0.0.1:80", "[::1]:80"]
        places += ["inward.test:80", "localhost:80"]
        script = ASK + f"for place in {places}: tell(place, ask); tell(place, tunnel)\n"
        said: list[str] = []
        found = verdicts(await built(script, said=said))
        for told in found.values():
            assert told.startswith(("403", "Tunnel connection failed: 403")), found
        assert reached == []
        for place in places:
            # Asked and tunnelled, by each of the two runs that pip makes of a setup.py.
            assert sum(line.startswith(f"refused: {place}: ") for line in said) == 4, place
        # The same attempt where the user has named that server.
        named = verdicts(
            await built(ASK + f"tell('{own}', ask)\n", settings=BuildSettings(places=(own,)))
        )
        assert named == {f"ask:{own}": "worked"}
        assert reached


SOCKETS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def mount():
    if libc.mount(b'none', b'/mnt', b'tmpfs', 0, None): raise OSError(ctypes.get_errno(), '')
def raw(kind, protocol):
    socket.socket(kind, socket.SOCK_RAW, protocol).close()
def connect():
    socket.create_connection(('192.0.2.1', 80), timeout=3)
print('raw', attempt(raw, socket.AF_INET, socket.IPPROTO_ICMP))
print('ping', attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1).sendto(
    b'x' * 8, ('192.0.2.1', 0))))
print('packet', attempt(raw, socket.AF_PACKET, 0x300))
print('mount', attempt(mount))
print('connect', attempt(connect))
"""


async def test_a_setup_py_that_mounts_pings_and_opens_raw_sockets_gets_nowhere(
    built: Built, plainly: Plainly
) -> None:
    found = verdicts(await built(SOCKETS))
    assert "worked" not in found.values(), found
    assert found["connect"] == "ENETUNREACH"
    # The same where the engine decides what a container may.
    usual = verdicts(plainly(SOCKETS))
    assert (usual["raw"], usual["packet"]) == ("worked", "worked")


DAEMON = "(setsid sh -c 'sleep 1; echo late > /late; sleep 60' >/dev/null 2>&1 &)"


async def test_a_process_that_a_step_leaves_changes_nothing_afterwards(built: Built) -> None:
    after = "sleep 2; cat /late > /result 2>&1 || true"
    assert "No such file" in await built("", DAEMON, after)
    # The same while its own step still runs.
    assert await built("", f"{DAEMON}; {after}") == "late\n"


async def test_a_fork_bomb_in_a_build_ends_with_it(
    built: Built, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = buildroom.build_policy

    def few(*given: Any, **named: Any) -> Policy:
        return replace(real(*given, **named), pids=200)  # the machine is others' too

    monkeypatch.setattr(buildroom, "build_policy", few)
    bomb = "while True:\n    try: os.fork()\n    except OSError: pass\n"
    started = time.monotonic()
    with pytest.raises(Stopped, match="time limit of 6 s"):
        await built(bomb, settings=BuildSettings(time_limit=6))
    assert time.monotonic() - started < 60
    own = f"{OWNER_LABEL}={this_process().label()}"
    for _ in range(50):
        if not engine.api.containers(all=True, filters={"label": own}):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("its container was left")
