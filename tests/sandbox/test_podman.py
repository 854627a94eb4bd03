"""Podman: what its own API is told, and sandboxes on a service of this machine's Podman."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.abilities import Abilities
from sandbox.buildjob import BuildSettings
from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError, SetupError
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.install import Install
from sandbox.leftovers import OWNER_LABEL
from sandbox.podman import changes_to, container_body, short_name
from sandbox.policy import MIB, Policy
from sandbox.profile import container_config
from sandbox.selfcheck import check_controls
from sandbox.trees import Base
from tests.sandbox.test_leftovers import OPENS

SERVICE = """
umount /sys/fs/cgroup/unified 2>/dev/null  # crun refuses version 1 with a part of version 2
exec podman --root "$1/root" --runroot "$1/run" --tmpdir "$1/tmp" --storage-driver "$2" \
    --runtime "$3" --cgroup-manager cgroupfs --events-backend file \
    system service --time=0 "unix://$1/$3.sock"
"""
RUNTIMES = [name for name in ("crun", "runc") if shutil.which(name)]
#: The first runtime does all; another shows that what differs between them is no matter.
first_runtime = pytest.mark.parametrize("service", RUNTIMES[:1], indirect=True)
each_runtime = pytest.mark.parametrize("service", RUNTIMES, indirect=True)


def config(**policy: Any) -> dict[str, Any]:
    can = Abilities(cgroup="1", cpus=2)
    return container_config(
        Policy(**policy), "image", 7, {"a": "b"}, private_bytes=1, abilities=can
    )


# -- what it is told ------------------------------------------------------------------------------


def test_every_control_of_a_sandbox_has_its_place(tmp_path: Path) -> None:
    body = container_body(config(pids=99), tmp_path)
    assert body["resource_limits"] == {
        "memory": {"limit": 2 << 30, "swap": 2 << 30, "swappiness": 0},
        "pids": {"limit": 99},
        "cpu": {"quota": 200_000, "period": 100_000},
    }
    assert body["cap_drop"] == ["ALL"]
    assert body["no_new_privileges"] is True
    assert body["netns"] == {"nsmode": "none"}
    assert body["read_only_filesystem"] is True
    assert body["read_write_tmpfs"] is False
    assert "/proc/kallsyms" in body["mask"]
    assert json.loads(Path(body["seccomp_profile_path"]).read_text())["syscalls"]
    volumes = {volume["Dest"]: volume for volume in body["volumes"]}
    assert set(volumes) == {"/workspace", "/home/sandbox", "/tmp", "/run/greenroom", "/dev/shm"}
    workspace = volumes["/workspace"]
    assert (
        "volume-opt=o=size=536870912,nr_inodes=131072,uid=7,gid=7,mode=0755"
        in (workspace["Options"])
    )
    assert {"nosuid", "nodev", "exec", "rw"} <= set(workspace["Options"])


@pytest.mark.parametrize(
    "change",
    [
        {"Binds": ["/:/host"]},
        {"NetworkMode": "bridge"},
        {"SecurityOpt": ["apparmor=unconfined"]},
        {"CpusetCpus": "0"},
    ],
)
def test_what_has_no_translation_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    asked = config()
    asked["HostConfig"] |= change
    with pytest.raises(ValueError, match="not known of Podman"):
        container_body(asked, tmp_path)


def test_a_profile_that_was_changed_on_the_disk_is_written_anew(tmp_path: Path) -> None:
    path = Path(container_body(config(), tmp_path)["seccomp_profile_path"])
    good = path.read_text()
    path.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    assert container_body(config(), tmp_path)["seccomp_profile_path"] == str(path)
    assert path.read_text() == good


def test_a_cache_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="seccomp profile could not be written") as caught:
        container_body(config(), tmp_path / "file")
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_an_image_s_configuration_is_told_as_changes_to_it() -> None:
    conf = {"Labels": {"a": "b c", "d": ""}, "Cmd": None, "Entrypoint": ["x"], "User": ""}
    told = changes_to({**conf, "Env": ["PATH=/bin:/opt", 'ODD=$x"']})
    assert told == [
        *('LABEL "a"="b c"', 'LABEL "d"=""', 'ENV "PATH"="/bin:/opt"'),
        *('ENTRYPOINT ["x"]', "CMD []"),
    ]


def test_a_label_that_two_versions_would_read_differently_is_left_to_the_base() -> None:
    assert changes_to({"Labels": {"a": 'say "$HOME"', "b": "x\\y", "c": "two\nlines"}}) == []


def test_names_are_as_docker_tells_them() -> None:
    assert short_name("localhost/greenroom/sandbox:1") == "greenroom/sandbox:1"
    assert short_name("docker.io/greenroom/given:1") == "greenroom/given:1"
    assert short_name("registry.example/greenroom:1") == "registry.example/greenroom:1"


# -- a service of this machine's Podman -----------------------------------------------------------


@pytest.fixture(scope="module")
def storage(engine: Engine, image: Image) -> Iterator[tuple[Path, str]]:
    """A folder for services, short enough for a socket's path, and the storage driver that works
    in it."""
    if shutil.which("podman") is None or not RUNTIMES:
        pytest.skip("podman is not installed (apt-get install podman crun)")
    if os.geteuid() != 0:
        pytest.skip("a service with folders of its own needs root")
    folder = Path(tempfile.mkdtemp(prefix="podman-", dir="/tmp"))
    try:
        tried = ("podman", "--root", f"{folder}/try", "--runroot", f"{folder}/tried", "info")
        tried += ("--storage-driver", "overlay")
        overlay = subprocess.run(tried, check=False, capture_output=True)
        (folder / "containers.conf").write_text('[engine]\nlock_type = "file"\n')
        yield folder, "overlay" if overlay.returncode == 0 else "vfs"
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the storage of services that have just ended: what they do last comes a bit later."""
    deadline = time.monotonic() + 5
    while folder.exists():
        # Unless time is up, what is made meanwhile is removed in the next round.
        shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)


@pytest.fixture(scope="module")
def service(request: pytest.FixtureRequest, storage: tuple[Path, str]) -> Iterator[Engine]:
    """An engine that is this machine's Podman with the runtime asked for."""
    folder, driver = storage
    runtime = request.param
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SERVICE, "sh"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, str(folder), driver, runtime],
            stdout=log,
            stderr=log,
            cwd=folder,  # what watches its containers leaves an empty file where it stands
            env={**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")},
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{folder}/{runtime}.sock")
        found = connected(process, folder / "log")
    yield found
    found.close()
    process.kill()  # it keeps nothing in memory, and would wait for its connections otherwise
    process.wait()


def connected(process: subprocess.Popen[bytes], log: Path) -> Engine:
    deadline = time.monotonic() + 20
    while True:
        try:
            return Engine.connect()
        except SetupError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.skip(f"podman cannot be used here: {error} {log.read_text()[-500:]}")
            time.sleep(0.05)


@pytest.fixture(scope="module")
def own(service: Engine, engine: Engine, image: Image) -> Image:
    """Greenroom's own image, brought from Docker once."""
    if not service.api.images(filters={"label": "greenroom.key"}):
        service.api.load_image(engine.api.get_image(image.name))
    return asyncio.run(ensure_image(ImageSpec(), engine=service, progress=print))


def left(engine: Engine) -> list[Any]:
    """Containers and volumes that are there, but for those of other processes."""
    found = list(engine.api.containers(all=True, filters={"label": OWNER_LABEL}))
    return found + list(engine.api.volumes()["Volumes"] or ())


def nothing_is_left(engine: Engine, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while left(engine):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.docker
@each_runtime
async def test_a_sandbox_from_its_opening_to_its_end(
    service: Engine, own: Image, make_base: Any
) -> None:
    assert service.abilities.engine == "Podman"
    assert own.name.startswith("greenroom/sandbox:")
    base: Base = make_base({"a": "a\n", "big": os.urandom(3_000_000)})
    async with Sandbox.open(own, base, Policy(), resettable=True, engine=service) as box:
        assert box.unexpected == ()
        who = await box.run("id -un; stat -c %U . ~; cat a", cwd=".")
        assert who.output.text == "sandbox\nsandbox\nsandbox\na\n"
        through = await box.run("md5sum < big; cat big", output_limit=4_000_000)
        assert through.output.total == 3_000_036
        await box.write("b", b"b")
        patch = await box.delta()
        assert patch.paths == ("b",)
        async with box.fork() as other:
            assert await other.read("b") == b"b"
        await box.reset()
        assert not await box.delta()
        await box.apply(patch)
        assert (await box.run("sleep 60", timeout=0.3)).reason == "timeout"
    assert nothing_is_left(service)


@pytest.mark.docker
@first_runtime
async def test_every_control_holds(service: Engine, own: Image, tmp_path: Path) -> None:
    controls = await check_controls(own, service, tmp_path)
    lacking = {control.name for control in controls if not control.holds}
    assert lacking <= set(service.abilities.lacking), [c for c in controls if not c.holds]


@pytest.mark.docker
@first_runtime
async def test_the_supervisor_keeps_no_capability_that_took_the_folders_over(
    service: Engine, own: Image, make_base: Any
) -> None:
    async with Sandbox.open(own, make_base({"a": "a"}), Policy(), engine=service) as box:
        shown = await box.run("grep -E '^Cap(Prm|Eff|Bnd|Inh|Amb)' /proc/1/status")
    sets = [int(line.split()[1], 16) for line in shown.output.text.splitlines()]
    assert sorted(sets) == [0, 0, 0xE0, 0xE0, 0xE0]


@pytest.mark.docker
@first_runtime
async def test_commands_that_are_root_work_as_on_docker(
    service: Engine, own: Image, make_base: Any
) -> None:
    policy = Policy(preset="compat")
    async with Sandbox.open(own, make_base({"a": "a"}), policy, engine=service) as box:
        result = await box.run("id -u; touch /opt/x && chown 5:6 /opt/x && stat -c %u:%g /opt/x")
    assert result.output.text == "0\n5:6\n"


@pytest.mark.docker
@first_runtime
async def test_a_container_that_is_killed_says_so(
    service: Engine, own: Image, make_base: Any
) -> None:
    async with Sandbox.open(own, make_base({"a": "a"}), Policy(), engine=service) as box:
        running = asyncio.create_task(box.run("sleep 66"))
        await asyncio.sleep(0.1)
        service.api.kill(box.container_id)
        with pytest.raises(InfrastructureError, match=r"gone.*it was killed"):
            await running
    assert nothing_is_left(service)


@pytest.mark.docker
@first_runtime
async def test_a_profile_that_podman_does_not_see_is_said(
    service: Engine, own: Image, make_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.podman._as_file", lambda profile, cache: "/nowhere/x.json")
    with pytest.raises(SetupError, match=r"finds no /nowhere/x[.]json") as caught:
        async with Sandbox.open(own, make_base({"a": "a"}), Policy(), engine=service):
            pytest.fail("a sandbox without a system call filter was opened")
    assert "XDG_CACHE_HOME" in caught.value.hint


@pytest.mark.docker
@first_runtime
def test_a_killed_host_leaves_nothing(service: Engine, own: Image, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", OPENS, own.reference, str(tmp_path / "store")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DOCKER_HOST": service.address.url},
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)][1] == "open\n"
    time.sleep(0.3)
    assert left(service)
    process.kill()
    process.wait()
    assert nothing_is_left(service)


@pytest.mark.docker
@first_runtime
async def test_a_layer_is_built_once_and_keeps_what_its_base_was(
    service: Engine, own: Image, make_base: Any, tmp_path: Path
) -> None:
    async def build() -> Image:
        return await ensure_image(
            ImageSpec(setup=("echo made > /opt/made",)),
            engine=service,
            settings=BuildSettings(),
            cache=tmp_path,
        )

    image = await build()
    assert (await build()).reference == image.reference
    assert service.ready_image(image.reference) == service.ready_image(image.reference)
    told, before = (service.api.inspect_image(i.reference)["Config"] for i in (image, own))
    assert told["Cmd"] == before["Cmd"]
    assert not told.get("Entrypoint")
    assert set(before["Env"]) <= set(told["Env"])
    policy = Policy(memory_bytes=1024 * MIB, workspace_bytes=64 * MIB)
    async with Sandbox.open(image, make_base({"a": "a"}), policy, engine=service) as box:
        assert (await box.run("cat /opt/made")).output.text == "made\n"


@pytest.mark.docker
@first_runtime
async def test_a_layer_on_a_named_image_finds_its_files_and_leaves_variables(
    service: Engine, own: Image, make_base: Any, tmp_path: Path
) -> None:
    install = Install(
        "other",
        "",
        (("deep/file", b"content\n"),),
        ("cp deep/file /opt/file",),
        (("TOOL_HOME", "/opt/tool"), ("PATH", "/opt/tool/bin")),
    )
    checkout = make_base({"run": (0o100755, b"#!/bin/sh\necho ran > /opt/ran\n")})
    image = await ensure_image(
        ImageSpec(base=own.name, installs=(install,), create=("./run; touch left",)),
        engine=service,
        settings=BuildSettings(),
        cache=tmp_path,
        checkout=checkout,
    )
    policy = Policy(memory_bytes=1024 * MIB, workspace_bytes=64 * MIB)
    async with Sandbox.open(image, make_base({"a": "a"}), policy, engine=service) as box:
        told = await box.run("cat /opt/file /opt/ran; ls; echo $TOOL_HOME; echo ${PATH##*:}")
    assert told.output.text.split() == ["content", "ran", "a", "/opt/tool", "/opt/tool/bin"]
