"""The sandbox that layers are built in: what its steps find, and what they may reach."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox import buildroom
from sandbox.buildjob import BuildSettings, Job, failure
from sandbox.buildplaces import build_places, way_out_variables
from sandbox.buildrequests import Requests
from sandbox.buildroom import build_policy
from sandbox.egress.record import NetworkRequest
from sandbox.engine import Engine
from sandbox.errors import SetupError, UsageError
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.policy import MIB
from sandbox.redaction import NPM_TOKEN
from sandbox.trees import Base
from tests.outside import LOOPBACK, Names, listener
from tests.sandbox.printed import printed
from tests.sandbox.serving import serve_wheel

Build = Callable[..., Awaitable[Image]]


@pytest.fixture
async def build(engine: Engine, image: Image, tmp_path: Path) -> AsyncIterator[Build]:
    """Builds a layer of commands that no earlier run can have cached; `said` is all it printed."""
    made: list[str] = []

    async def make(
        *setup: str,
        said: list[str] | None = None,
        settings: BuildSettings | None = None,
        **parts: Any,
    ) -> Image:
        said = [] if said is None else said
        lines = tuple(f"{command} # {uuid.uuid4()}" for command in setup)
        found = await ensure_image(
            ImageSpec(setup=lines, **{n: v for n, v in parts.items() if n != "checkout"}),
            engine=engine,
            settings=settings or BuildSettings(),
            cache=tmp_path / "cache",
            progress=said.append,
            live=said.append,
            checkout=parts.get("checkout"),
        )
        made.append(found.name)
        return found

    yield make
    for name in reversed(made):
        engine.api.remove_image(name)


# -- what it may reach ----------------------------------------------------------------------------


def test_the_public_web_is_reached_and_nothing_else_unless_it_is_named() -> None:
    assert build_places(BuildSettings()) == ("public-web",)


def test_what_this_machine_s_settings_name_is_reached_in_private_networks_too() -> None:
    settings = BuildSettings(
        environment={
            "PIP_INDEX_URL": "https://bob:pw@index.corp/simple",
            "PIP_EXTRA_INDEX_URL": "http://10.0.0.7:8080/a http://[fd00::7]/b",
            "GOPROXY": "https://go.corp:8443|direct",
            "npm_config_registry": "http://localhost:4873/",
            NPM_TOKEN: "sesame",
            "https_proxy": "http://proxy.corp:3128",
        },
        apt_mirror="http://mirror.corp/all",
        places=("more.corp:443@10.0.0.0/8",),
    )
    found = build_places(settings)
    assert {
        "public-web",
        "index.corp:443",
        "index.corp:443@10.0.0.0/8",
        "10.0.0.7:8080",
        "[fd00::7]:80",
        "go.corp:8443@192.168.0.0/16",
        "localhost:4873@127.0.0.0/8",
        "mirror.corp:80@172.16.0.0/12",
        "more.corp:443@10.0.0.0/8",
    } <= set(found)
    # A name of the user's own choice does not lead to this machine itself.
    assert "index.corp:443@127.0.0.0/8" not in found
    assert not any("proxy.corp" in entry or "sesame" in entry for entry in found)


@pytest.mark.parametrize(
    "address", ["http://host:x/", "http://[::1/", "https://", "http://a..b/", "ftp://host/"]
)
def test_an_address_that_is_none_names_no_place(address: str) -> None:
    settings = BuildSettings(environment={"PIP_INDEX_URL": address})
    assert build_places(settings) == ("public-web",)


def test_a_place_that_is_none_is_refused_by_the_name_of_its_setting() -> None:
    with pytest.raises(UsageError, match=r"'x' in `build_places` cannot be read"):
        BuildSettings.from_environment({}, places=("x",))


def test_a_step_asks_its_own_loopback_itself_unless_a_server_of_this_machine_is_named() -> None:
    assert way_out_variables(BuildSettings())["no_proxy"] == "localhost,127.0.0.1,::1"
    for settings in (
        BuildSettings(environment={"PIP_INDEX_URL": "http://127.0.0.1:3141/simple"}),
        BuildSettings(places=("127.0.0.1:80",)),
    ):
        assert way_out_variables(settings)["no_proxy"] == "localhost,::1"
    named = BuildSettings(places=("[::1]:80",))
    assert way_out_variables(named)["NO_PROXY"] == "localhost,127.0.0.1"


@pytest.mark.docker
async def test_requests_are_told_in_a_line(build: Build, web: tuple[Path, str]) -> None:
    name = f"pkg{uuid.uuid4().hex}"
    serve_wheel(web[0], name, {f"{name}.py": ""})
    said: list[str] = []
    settings = BuildSettings(environment={"PIP_INDEX_URL": f"{web[1]}/simple"})
    await build(said=said, settings=settings, pip=(f"{name}==1.0",))
    [line] = [line for line in said if line.startswith("requests: ")]
    assert line == f"requests: {web[1].removeprefix('http://')} (2); 0.0 MB received"


FETCH = "python3 -c 'import urllib.request as u; print(u.urlopen(\"{}\").read())'"


@pytest.mark.docker
async def test_what_is_refused_is_named_with_what_to_do(
    build: Build, web: tuple[Path, str], names: Names
) -> None:
    names.known["index.test"] = ["127.0.0.1"]
    where = f"index.test:{web[1].rpartition(':')[2]}"
    said: list[str] = []
    with pytest.raises(
        SetupError, match=f"may not reach: {where}: .* is not on the list"
    ) as caught:
        await build(FETCH.format(f"http://{where}/x"), said=said)
    assert f'build_places = ["{where}"]' in caught.value.hint
    assert any(line.startswith(f"refused: {where}: ") for line in said)
    (web[0] / "x").write_text("there")
    settings = BuildSettings(places=(f"{where}@{LOOPBACK}",))
    await build(FETCH.format(f"http://{where}/x"), settings=settings)


@pytest.mark.docker
async def test_a_name_in_a_private_network_is_refused_with_the_entry_that_would_do(
    build: Build, names: Names
) -> None:
    names.known["index.test"] = ["10.7.7.7"]
    with pytest.raises(SetupError, match=r"resolves to 10\.7\.7\.7, which would") as caught:
        await build(FETCH.format("http://index.test/simple"))
    assert 'build_places = ["index.test:80@10.7.7.7"]' in caught.value.hint


@pytest.mark.docker
async def test_a_login_of_this_machine_s_proxy_is_given_to_the_proxy_and_never_shown_inside(
    build: Build, engine: Engine, names: Names
) -> None:
    names.known["index.test"] = ["203.0.113.7"]
    heads: list[bytes] = []

    def talk(connection: Any) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        heads.append(head)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy")

    with listener(talk) as port:
        proxy = f"http://somebody:hunter2@127.0.0.1:{port}"
        settings = BuildSettings(environment={"http_proxy": proxy, "HTTP_PROXY": proxy})
        said: list[str] = []
        made = await build(
            "env > /seen; " + FETCH.format("http://index.test/x"), said=said, settings=settings
        )
    assert heads[0].startswith(b"GET http://index.test/x HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic c29tZWJvZHk6aHVudGVyMg==" in heads[0]
    seen = printed(engine, made, "cat /seen")
    assert "http_proxy=http://127.0.0.1:17310\n" in seen
    assert "hunter2" not in seen
    assert str(port) not in seen


@pytest.mark.docker
async def test_a_host_that_no_proxy_names_is_asked_directly(
    build: Build, web: tuple[Path, str], names: Names
) -> None:
    (web[0] / "x").write_text("there")
    names.known["direct.test"] = ["127.0.0.1"]
    where = f"direct.test:{web[1].rpartition(':')[2]}"
    environment = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "other.test,.test"}
    settings = BuildSettings(environment=environment, places=(f"{where}@{LOOPBACK}",))
    await build(FETCH.format(f"http://{where}/x"), settings=settings)


# -- what its steps find --------------------------------------------------------------------------


@pytest.mark.docker
async def test_commands_find_the_checkout_with_its_modes_and_links_and_it_does_not_stay(
    build: Build, engine: Engine, make_base: Callable[..., Base]
) -> None:
    checkout = make_base(
        {
            "bin/run": (0o100755, b"#!/bin/sh\necho ran\n"),
            "deep/er/plain": "plain\n",
            "link": (0o120000, b"deep/er/plain"),
        }
    )
    command = (
        "./bin/run > /found; cat link >> /found; readlink link >> /found; "
        "stat -c %a:%u bin/run deep/er/plain deep >> /found; "
        "head -c 3000000 /dev/zero > made; df --output=target . | tail -1 >> /found"
    )
    inputs = uuid.uuid4().hex
    made = await build(create=(command,), create_inputs=inputs, checkout=checkout)
    told = printed(engine, made, "cat /found; ls -A /workspace")
    assert told.splitlines() == [
        *("ran", "plain", "deep/er/plain", "755:0", "644:0", "755:0", "/workspace"),
    ]


@pytest.mark.docker
async def test_programs_are_found_by_the_image_s_own_path_and_may_be_added_at_home(
    build: Build, engine: Engine
) -> None:
    made = await build("echo $PATH > /found; mkdir -p ~/.local/bin; touch ~/.local/bin/python3")
    told = printed(engine, made, "cat /found; echo $PATH; ls /root/.local/bin")
    assert len(set(told.split()[:2])) == 1
    assert told.split()[2] == "python3"


@pytest.mark.docker
async def test_scratch_space_is_not_a_small_file_system_in_memory(
    build: Build, engine: Engine
) -> None:
    made = await build("df --output=fstype,target /tmp /var/tmp /root | tail -n +2 > /found")
    assert "tmpfs" not in printed(engine, made, "cat /found")


@pytest.mark.docker
async def test_nothing_of_the_room_itself_is_in_the_image(build: Build, engine: Engine) -> None:
    made = await build("true")
    config = engine.api.inspect_image(made.reference)["Config"]
    assert not any(word.startswith(("HOME=", "http_proxy", "NO_PROXY")) for word in config["Env"])
    assert config["Entrypoint"] in (None, [])
    told = printed(engine, made, "find /workspace /run/greenroom /etc/profile.d /var/tmp")
    assert "zz-greenroom.sh" not in told
    assert not any(line.startswith(("/workspace/", "/run/", "/var/tmp/")) for line in
                   told.replace("/run/greenroom\n", "").splitlines())  # fmt: skip


@pytest.mark.docker
async def test_running_out_of_memory_is_named(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buildroom, "SHARE", 0.02)
    with pytest.raises(SetupError, match="it ran out of memory") as caught:
        await build("python3 -c 'x = bytearray(10 ** 9); x[::4096] = bytes(len(x[::4096]))'")
    assert "make -j1" in caught.value.hint


@pytest.mark.docker
async def test_a_step_that_prints_without_end_is_ended(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = buildroom.build_policy

    def less(*given: Any, **named: Any) -> Any:
        return replace(real(*given, **named), output_stop_bytes=40 * MIB)

    monkeypatch.setattr(buildroom, "build_policy", less)
    monkeypatch.setattr(buildroom, "OUTPUT_BYTES", 64 << 10)
    said: list[str] = []
    with pytest.raises(SetupError, match="printed without an end"):
        await build("yes", said=said)
    assert "[...]" in said


@pytest.mark.docker
async def test_output_is_shown_while_a_step_runs(build: Build) -> None:
    shown = asyncio.Event()

    class Lines(list[str]):
        def append(self, line: str) -> None:
            super().append(line)
            if line == "first":
                shown.set()

    task = asyncio.create_task(build("echo first; sleep 60", said=Lines()))
    try:
        await asyncio.wait_for(shown.wait(), 30)
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_what_a_build_may_use_is_a_share_of_the_machine(engine: Engine) -> None:
    job = Job(BuildSettings(time_limit=100), lambda _line: None)
    small = build_policy(job, engine, files=False)
    assert small.memory_bytes < engine.abilities.memory_bytes
    assert small.workspace_bytes == MIB
    assert small.command_timeout > 100
    assert build_policy(job, engine, files=True).workspace == "disk"


def request(host: str, outcome: Any = "ok", why: str = "") -> NetworkRequest:
    return NetworkRequest(
        datetime.now(UTC), "GET", host, 443, "", "", outcome, why, 1, 2_000_000, 0.1
    )


def test_many_hosts_are_told_in_short() -> None:
    said: list[str] = []
    requests = Requests(Job(BuildSettings(), said.append))
    requests.tell()
    for number in range(10):
        requests.take(request(f"h{number}.test"))
    requests.take(request("h9.test"))
    requests.tell()
    [line] = said
    assert line.startswith("requests: h9.test:443 (2), h0.test:443 (1), ")
    assert line.endswith("2 others; 22.0 MB received")


def test_what_was_refused_is_told_before_what_could_not_be_reached() -> None:
    requests = Requests(Job(BuildSettings(), lambda _line: None))
    assert requests.trouble() == ("", "")
    requests.take(request("down.test", "failed", "no answer"))
    assert "could not be reached: down.test:443: no answer" in requests.trouble()[0]
    requests.take(request("no.test", "refused", "no.test is not on the list"))
    told, hint = requests.trouble()
    assert "may not reach: no.test:443: no.test is not on the list" in told
    assert 'build_places = ["no.test:443"]' in hint


def test_what_is_known_of_a_failure_beats_a_guess_from_its_output() -> None:
    job = Job(BuildSettings(), lambda _line: None)
    job.output("connection refused")
    assert failure(job, "x", trouble=("it was asked", "ask not")).hint == "ask not"
    assert failure(job, "x", unreachable=("none", "do this")).message.startswith("x: none. The")
    job.output("No space left on device")
    assert "the disk is full" in failure(job, "x", trouble=("it was asked", "")).message
