"""Engines of all kinds, by what they say of themselves.

What Docker 20.10 and 26, Podman 4.3 and 5.4, and the rootless ones say was recorded from them, and
cut down to what is read; the others' answers are put together from what is documented and reported.
"""

from typing import Any

import pytest

from sandbox.abilities import Abilities, abilities
from sandbox.errors import SetupError
from sandbox.lifecycle import new_uid
from sandbox.podman import as_info

Answer = dict[str, Any]


def docker(version: str, **info: Any) -> Answer:
    usual = {
        "ServerVersion": version,
        "OSType": "linux",
        "Architecture": "x86_64",
        "MemoryLimit": True,
        "SwapLimit": True,
        "CpuCfsPeriod": True,
        "CpuCfsQuota": True,
        "PidsLimit": True,
        "CgroupDriver": "systemd",
        "CgroupVersion": "2",
        "KernelVersion": "6.12.117+deb13-cloud-amd64",
        "NCPU": 2,
        "MemTotal": 5036761088,
        "DefaultRuntime": "runc",
        "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    }
    return {**usual, **info}


def podman(controllers: list[str], uids: list[Answer] | None = None, **host: Any) -> Answer:
    usual = {
        "arch": "amd64",
        "os": "linux",
        "cpus": 2,
        "memTotal": 5036761088,
        "kernel": "6.12.117+deb13-cloud-amd64",
        "cgroupManager": "systemd",
        "cgroupVersion": "v2",
        "cgroupControllers": controllers,
        "idMappings": {"gidmap": uids, "uidmap": uids},
        "ociRuntime": {"name": "crun"},
        "security": {"rootless": bool(uids), "seccompEnabled": True},
    }
    return as_info({"host": {**usual, **host}})


def libpod_of(answer: Answer) -> str:
    return "" if "ServerVersion" in answer else "5.4.2"


ROOTLESS = ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]
#: A user's own id is root inside, and the others are those of /etc/subuid.
UIDS: list[Answer] = [{"container_id": 0, "size": 1}, {"container_id": 1, "size": 65536}]

DOCKER_20 = docker(
    "20.10.24+dfsg1",
    CgroupDriver="cgroupfs",
    CgroupVersion="1",
    SecurityOptions=["name=seccomp,profile=default"],
)
DOCKER_26 = docker("26.1.5+dfsg1")
DOCKER_28_ARM = docker("28.5.2", Architecture="aarch64", KernelVersion="6.8.0-60-generic")
DOCKER_29 = docker("29.1.0", DefaultRuntime="runc", KernelVersion="6.14.0-36-generic")
DESKTOP = docker(
    "28.5.1",
    Architecture="aarch64",
    CgroupDriver="cgroupfs",
    KernelVersion="6.10.14-linuxkit",
    OperatingSystem="Docker Desktop",
    SecurityOptions=["name=seccomp,profile=unconfined", "name=cgroupns"],
)
DESKTOP_ISOLATED = docker("28.5.1", DefaultRuntime="sysbox-runc", KernelVersion="6.10.14-linuxkit")
COLIMA = docker("27.4.0", Architecture="aarch64", KernelVersion="6.8.0-50-generic", Name="colima")
DOCKER_ROOTLESS = docker("26.1.5+dfsg1", SecurityOptions=ROOTLESS)
PODMAN_4 = podman(
    ["cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer", "pids"],
    cgroupVersion="v1",
    cgroupManager="cgroupfs",
    kernel="6.18.44",
)
ALL = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"]
PODMAN_5 = podman(ALL)
PODMAN_5_ROOTLESS = podman(["cpu", "memory", "pids"], UIDS)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (DOCKER_20, {"cgroup": "1", "swappiness": True}),
        (DOCKER_26, {}),
        (DOCKER_28_ARM, {"machine": "aarch64"}),
        (DOCKER_29, {}),
        (DESKTOP, {"machine": "aarch64"}),
        (DESKTOP_ISOLATED, {"maps_uids": True, "runtime": "sysbox-runc"}),
        (COLIMA, {"machine": "aarch64"}),
        (DOCKER_ROOTLESS, {"maps_uids": True}),
        (
            docker("26.1.5+dfsg1", SecurityOptions=[*DOCKER_26["SecurityOptions"], "name=userns"]),
            {"maps_uids": True},
        ),
        (
            PODMAN_4,
            {"engine": "Podman", "runtime": "crun", "cgroup": "1", "swappiness": True},
        ),
        (PODMAN_5, {"engine": "Podman", "runtime": "crun", "libpod": "5.4.2"}),
        (PODMAN_5_ROOTLESS, {"engine": "Podman", "runtime": "crun", "maps_uids": True}),
    ],
    ids=[
        "docker 20.10, version 1",
        "docker 26",
        "docker 28, arm64",
        "docker 29",
        "docker desktop",
        "docker desktop, enhanced isolation",
        "colima",
        "docker rootless",
        "docker with userns-remap",
        "podman 4.3, version 1",
        "podman 5.4",
        "podman 5.4 rootless",
    ],
)
def test_an_engine_that_lacks_nothing(answers: Answer, expected: dict[str, Any]) -> None:
    can = abilities(answers, "here", libpod_of(answers))
    usual = {
        "machine": "x86_64",
        "cgroup": "2",
        "engine": "Docker",
        "runtime": "runc",
        "maps_uids": False,
        "swappiness": False,
    }
    wanted = {**usual, **expected}
    assert {name: getattr(can, name) for name in wanted} == wanted
    assert can.lacking == ()
    assert can.limits_cpu
    assert can.sets_ipc


@pytest.mark.parametrize(
    ("answers", "lacking"),
    [
        # What systemd delegates to a user where nobody said more.
        (
            docker("28.5.2", SecurityOptions=ROOTLESS, CpuCfsQuota=False, CpuCfsPeriod=False),
            ("processor time",),
        ),
        (
            podman(["memory", "pids"], UIDS),
            ("processor time",),
        ),
        # A kernel without swapaccount=1 on version 1.
        (docker("20.10.24", CgroupVersion="1", SwapLimit=False), ("swap",)),
        # A kernel without CONFIG_CFS_BANDWIDTH.
        (docker("27.0.2", CpuCfsQuota=False), ("processor time",)),
    ],
)
def test_what_an_engine_lacks_is_named(answers: Answer, lacking: tuple[str, ...]) -> None:
    can = abilities(answers, "here", libpod_of(answers))
    assert can.lacking == lacking
    assert can.limits_cpu == ("processor time" not in lacking)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (docker("28.5.2", OSType="windows"), "windows containers"),
        (docker("28.5.2", Architecture="riscv64"), "riscv64"),
        (docker("28.5.2", MemoryLimit=False), "limit memory of"),
        (docker("28.5.2", PidsLimit=False), "number of processes"),
        (docker("28.5.2", SecurityOptions=["name=apparmor"]), "no seccomp"),
        (docker("28.5.2", SecurityOptions=None), "no seccomp"),
        # Rootless on version 1: Docker 20.10 lists all limits as there.
        (docker("20.10.5", SecurityOptions=ROOTLESS, CgroupDriver="none"), "memory and the number"),
        (podman([], UIDS), "Podman.*memory and the num"),
        (podman(["pids"], UIDS), "limit memory of"),
        (podman(ALL, UIDS[:1]), "has 1 user ids"),
    ],
)
def test_an_engine_that_cannot_hold_a_sandbox_is_refused(answers: Answer, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        abilities(answers, "here", libpod_of(answers))


def test_an_engine_that_maps_uids_gets_uids_that_exist() -> None:
    assert all(10_000 < new_uid(mapped=True) < 65_536 for _ in range(100))
    assert all(new_uid(mapped=False) > 1 << 28 for _ in range(100))


@pytest.mark.parametrize(
    ("kernel", "sets"),
    [("5.15.0-25-generic", False), ("6.8.12", False), ("6.9", True), ("", False)],
)
def test_the_settings_of_system_v_are_left_where_a_kernel_would_not_have_them(
    kernel: str, sets: bool
) -> None:
    rootless = docker("28.5.2", SecurityOptions=ROOTLESS, KernelVersion=kernel)
    assert abilities(rootless, "here").sets_ipc is sets
    assert abilities(docker("28.5.2", KernelVersion=kernel), "here").sets_ipc


def test_what_an_engine_does_not_say_it_has() -> None:
    said = {"OSType": "linux", "Architecture": "x86_64", "SecurityOptions": ["name=seccomp"]}
    assert abilities(said, "here") == Abilities(cgroup="1")
