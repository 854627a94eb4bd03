"""Layers are built for real; package indexes are small ones that the test itself serves."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import layers
from sandbox.buildjob import BuildSettings, Job
from sandbox.commit import commit
from sandbox.engine import Engine
from sandbox.errors import SetupError
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.install import SCRATCH, Install
from sandbox.layerchecks import check_changes
from sandbox.leftovers import OWNER_LABEL, this_process
from sandbox.runtimeguard import Runtime
from tests.sandbox.printed import printed
from tests.sandbox.serving import serve_package, serve_wheel

pytestmark = pytest.mark.docker
Build = Callable[..., Awaitable[Image]]
PROXY = "http://somebody:secret@127.0.0.1:9/"


@pytest.fixture
async def build(engine: Engine, image: Image, tmp_path: Path) -> AsyncIterator[Build]:
    """Builds a spec that no earlier run can have cached, and removes what came of it."""
    made: list[str] = []

    async def make(settings: BuildSettings | None = None, **parts: object) -> Image:
        spec = ImageSpec(**parts)  # type: ignore[arg-type]
        found = await ensure_image(
            spec, engine=engine, settings=settings or BuildSettings(), cache=tmp_path / "cache"
        )
        made.append(found.name)
        return found

    yield make
    for name in reversed(made):
        engine.api.remove_image(name)


def unique(command: str = "true") -> str:
    return f"{command} # {uuid.uuid4()}"


def index(address: str, **more: str) -> BuildSettings:
    return BuildSettings(environment={"PIP_INDEX_URL": f"{address}/simple", **more})


def reaching(address: str) -> BuildSettings:
    return BuildSettings(places=(address.removeprefix("http://"),))


async def test_requirements_go_into_the_systems_python(
    build: Build, engine: Engine, web: tuple[Path, str]
) -> None:
    name = f"pkg{uuid.uuid4().hex}"
    serve_wheel(web[0], name, {f"{name}.py": "VALUE = 42\n"})
    made = await build(index(web[1]), pip=(f"{name}==1.0",))
    command = f"bash -lc \"python3 -c 'import {name}; print({name}.VALUE, {name}.__file__)'\""
    assert printed(engine, made, command).split() == [
        "42",
        f"/usr/local/lib/python3.11/dist-packages/{name}.py",
    ]


async def test_a_requirement_that_does_not_exist_is_named(
    build: Build, web: tuple[Path, str]
) -> None:
    serve_wheel(web[0], "present", {})
    missing = f"missing{uuid.uuid4().hex}"
    with pytest.raises(SetupError, match=f"failed at {missing}") as caught:
        await build(index(web[1]), pip=("present", missing))
    assert "No matching distribution" in caught.value.message


async def test_an_installation_has_its_files_in_a_folder_that_is_gone_afterwards(
    build: Build, engine: Engine
) -> None:
    install = Install(
        "other",
        "something",
        (("lock", uuid.uuid4().bytes), ("deep/er/file", b"content\n")),
        ("test -s lock; cp deep/er/file /installed", "pwd >> /installed"),
        (("TOOL_HOME", "/opt/tool"), ("PATH", "/opt/tool/bin")),
    )
    made = await build(installs=(install,))
    told = printed(engine, made, f"cat /installed; test -e {SCRATCH} || echo gone; env")
    assert told.splitlines()[:3] == ["content", SCRATCH, "gone"]
    variables = dict(line.split("=", 1) for line in told.splitlines()[3:])
    assert variables["TOOL_HOME"] == "/opt/tool"
    assert variables["PATH"].startswith("/usr/local/sbin:/usr/local/bin:")
    assert variables["PATH"].endswith(":/opt/tool/bin")


async def test_an_installation_that_fails_says_what_ran_and_what_to_do(build: Build) -> None:
    install = Install("other", "", (("x", b""),), ("echo trouble; exit 3", "touch /never"))
    with pytest.raises(SetupError, match="echo trouble; exit 3 failed") as caught:
        await build(installs=(install,))
    assert "  trouble" in caught.value.message
    assert "--image" in caught.value.hint


async def test_an_installation_that_replaces_python_is_refused(build: Build) -> None:
    install = Install("other", "", (("x", b""),), ("cp x /usr/local/bin/python3",))
    with pytest.raises(SetupError, match="/usr/local/bin/python3"):
        await build(installs=(install,))


async def test_an_unreachable_index_says_what_to_set(build: Build) -> None:
    name = f"pkg{uuid.uuid4().hex}"
    settings = index("http://127.0.0.1:9", PIP_RETRIES="1")
    with pytest.raises(SetupError, match=r"127\.0\.0\.1 cannot be connected to") as caught:
        await build(settings, pip=(name,))
    assert "PIP_INDEX_URL" in caught.value.hint


async def test_a_package_that_replaces_python_is_refused(
    build: Build, web: tuple[Path, str], engine: Engine
) -> None:
    name = f"pkg{uuid.uuid4().hex}"
    serve_wheel(web[0], name, {f"{name}-1.0.data/scripts/python3": "#!/bin/sh\nexit 0\n"})
    with pytest.raises(SetupError, match="/usr/local/bin/python3"):
        await build(index(web[1]), pip=(name,))


async def test_a_setup_command_may_add_libraries(build: Build, engine: Engine) -> None:
    command = (
        "mkdir /opt/l; cp /lib/x86_64-linux-gnu/libpcre2-8.so.0 /opt/l/; "
        "echo /opt/l > /etc/ld.so.conf.d/other.conf; ldconfig; touch /usr/bin/x; rm /usr/bin/x; "
        "touch /usr/lib/x86_64-linux-gnu/libmore.so.1"
    )
    made = await build(setup=(unique(command),))
    assert "libmore" in printed(engine, made, "ls /usr/lib/x86_64-linux-gnu")


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("ln -sf true /usr/bin/python3", "/usr/bin/python3"),
        ("printf '#!/bin/sh\n' > /usr/local/sbin/python3", "/usr/local/sbin/python3"),
        ("echo 1 >> /usr/lib/python3.11/os.py", "/usr/lib/python3.11/os.py"),
        ("touch -d 2001-01-01 /lib/x86_64-linux-gnu/libc.so.6", "libc.so.6"),
        # The loader would find another library of the same name.
        ("mkdir /opt/l; cp /lib/x86_64-linux-gnu/libz.so.1 /opt/l; "
         "echo /opt/l > /etc/ld.so.conf.d/0.conf; ldconfig", "libz.so.1"),
        ("D=/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v2; mkdir -p $D; "
         "cp /lib/x86_64-linux-gnu/libexpat.so.1 $D/", "libexpat.so.1"),
        ("cp /lib/x86_64-linux-gnu/libz.so.1 /opt/; echo /opt/libz.so.1 > /etc/ld.so.preload",
         "/etc/ld.so.preload"),
        # A folder above becomes a link.
        ("mv /usr/local/sbin /usr/local/other; ln -s other /usr/local/sbin", "/usr/local/sbin"),
    ],
)  # fmt: skip
async def test_a_setup_command_that_changes_what_the_supervisor_runs_from_is_refused(
    build: Build, engine: Engine, command: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def noted(*args: Any) -> str:
        made.append(commit(*args))
        return made[-1]

    monkeypatch.setattr(layers, "commit", noted)
    with pytest.raises(SetupError, match=rf"changed \S*{re.escape(path)}, which") as caught:
        await build(setup=(unique(command),))
    assert "--image" in caught.value.hint
    assert not {each["Id"] for each in engine.api.images(all=True)} & set(made)


async def test_nothing_runs_any_more_when_the_changes_are_looked_at(
    build: Build, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[bool] = []

    def look(job: Job, container: str, guarded: Runtime) -> dict[str, int]:
        running.append(engine.api.inspect_container(container)["State"]["Running"])
        return check_changes(job, container, guarded)

    monkeypatch.setattr(layers, "check_changes", look)
    await build(setup=(unique("setsid sleep 60 >/dev/null 2>&1 &"),))
    assert running == [False]


async def test_debian_packages_are_installed(
    build: Build, engine: Engine, image: Image, web: tuple[Path, str]
) -> None:
    serve_package(web[0], "greenroom-hello", "/usr/bin/greenroom-hello", "#!/bin/sh\necho hello\n")
    sources = f"echo 'deb [trusted=yes] {web[1]} ./' > /etc/apt/sources.list"
    base = await build(setup=(unique(sources),))
    await build(base=base.name)
    made = await build(reaching(web[1]), base=base.name, apt=("greenroom-hello",))
    assert printed(engine, made, "greenroom-hello; ls /var/lib/apt/lists") == "hello\n"


async def test_a_debian_package_that_does_not_exist_is_named(
    build: Build, web: tuple[Path, str]
) -> None:
    serve_package(web[0], "greenroom-hello", "/usr/bin/greenroom-hello", "")
    sources = f"echo 'deb [trusted=yes] {web[1]} ./' > /etc/apt/sources.list"
    base = await build(setup=(unique(sources),))
    await build(base=base.name)
    with pytest.raises(SetupError, match="Unable to locate package no-such-package"):
        await build(reaching(web[1]), base=base.name, apt=("no-such-package",))


async def test_nothing_of_this_machine_stays_in_the_layer(
    build: Build, engine: Engine, tmp_path: Path
) -> None:
    certificates = tmp_path / "ca.pem"
    certificates.write_text("-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n")
    settings = BuildSettings(ca_bundle=certificates, environment={"https_proxy": PROXY})
    # The command fails unless it sees both, so the layer proves that they were there.
    seen = 'grep -q ours "$SSL_CERT_FILE" && test -n "$https_proxy" && touch /seen'
    made = await build(settings, setup=(unique(seen),))
    told = str(engine.api.inspect_image(made.reference)) + str(engine.api.history(made.reference))
    assert "secret" not in told
    assert "SSL_CERT_FILE" not in told
    assert printed(engine, made, "ls /seen; ls -A /tmp /var/tmp; env").count("ca.pem") == 0
    assert printed(engine, made, "ls /seen").strip() == "/seen"


async def test_a_sandbox_of_a_layer_is_not_taken_for_its_build_container(
    build: Build, engine: Engine
) -> None:
    made = await build(setup=(unique(),))
    labels = engine.api.inspect_image(made.reference)["Config"]["Labels"]
    assert this_process().label() not in labels.values()


async def test_setup_commands_stop_at_the_first_that_fails(build: Build) -> None:
    with pytest.raises(SetupError) as caught:
        await build(setup=(unique("echo one"), "echo trouble >&2; exit 7", "echo never"))
    assert "exit 7" in caught.value.message
    assert "trouble" in caught.value.message
    assert "never" not in caught.value.message


async def test_a_full_disk_is_named(build: Build) -> None:
    with pytest.raises(SetupError, match="the disk is full"):
        await build(setup=(unique("head -c 1 /dev/zero >/dev/full"),))


async def test_a_layer_over_its_time_limit_is_stopped(build: Build, engine: Engine) -> None:
    started = time.monotonic()
    with pytest.raises(Exception, match="time limit of 1 s"):
        await build(BuildSettings(time_limit=1), setup=(unique("sleep 60"),))
    assert time.monotonic() - started < 20


async def test_a_cancelled_build_leaves_no_container(
    engine: Engine, image: Image, tmp_path: Path
) -> None:
    running = asyncio.Event()

    def progress(line: str) -> None:
        if line.startswith("setup command"):
            running.set()

    spec = ImageSpec(setup=(unique("sleep 60"),))
    task = asyncio.create_task(
        ensure_image(
            spec, engine=engine, settings=BuildSettings(), cache=tmp_path, progress=progress
        )
    )
    await asyncio.wait_for(running.wait(), 30)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 5
    own = f"{OWNER_LABEL}={this_process().label()}"
    assert engine.api.containers(all=True, filters={"label": own}) == []


async def test_build_containers_have_few_rights(build: Build, engine: Engine) -> None:
    command = (
        "grep -E '^(CapEff|NoNewPrivs)' /proc/self/status > /status; "
        "! mount -t tmpfs none /mnt 2>/dev/null; test ! -e /var/run/docker.sock"
    )
    made = await build(setup=(unique(command),))
    status = dict(line.split(":\t") for line in printed(engine, made, "cat /status").splitlines())
    assert status["NoNewPrivs"] == "1"
    # CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID
    assert int(status["CapEff"], 16) == 0b11111011
