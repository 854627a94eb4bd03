"""What an engine is, and what its machine can do, as far as sandboxes depend on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.errors import SetupError

# The machines that there is a seccomp profile for, by the names that engines use.
MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
# From this kernel on the root of a user namespace may write System V's settings of its own
# namespace; before, such a container does not start.
IPC_SETTINGS_KERNEL = (6, 9)
# So many there are in a container of an engine that maps them.
MAPPED_UIDS = 65_536
DELEGATE = (
    "A rootless engine needs cgroup v2 with the controllers cpu, memory and pids delegated to it: "
    "see its documentation on limiting resources."
)


@dataclass(frozen=True)
class Abilities:
    """`engine` is Docker or Podman, `runtime` what starts its containers, `gvisor` the name of the
    runtime that is gVisor's, "" without. `machine` is x86_64 or aarch64, `cpus` how many there are,
    `memory_bytes` how much memory (0: not known), `cgroup` the version of its control groups.
    `limits_cpu` tells whether CPU time can be limited; `maps_uids` that the engine maps user ids
    (rootless, userns-remap), so that only the first 65,536 exist inside; `sets_ipc` whether
    settings of System V can be made. `lacking` names the controls that the engine does not have,
    in words. `libpod` is the version of Podman's own API, "" for Docker.
    """

    machine: str = "x86_64"
    cpus: int = 1
    memory_bytes: int = 0
    limits_cpu: bool = True
    maps_uids: bool = False
    cgroup: str = "2"
    gvisor: str = ""
    engine: str = "Docker"
    runtime: str = "runc"
    sets_ipc: bool = True
    lacking: tuple[str, ...] = ()
    libpod: str = ""

    @property
    def swappiness(self) -> bool:
        """Whether that can be set for a container: version 2 has no such thing, and crun takes it
        for an error there."""
        return self.cgroup == "1"


def abilities(info: Mapping[str, Any], place: str, libpod: str = "") -> Abilities:
    """Read an engine's description of itself (Docker's /info; for Podman what
    `sandbox.podman.as_info` makes of its own). Raises SetupError for an engine that cannot hold a
    sandbox; `place` says which it is, `libpod` the version of Podman's own API."""
    name = "Podman" if libpod else "Docker"
    system = info.get("OSType", "linux")
    if system != "linux":
        raise SetupError(
            f"The {name} engine at {place} runs {system} containers.",
            "Switch it to Linux containers, or choose another engine.",
        )
    machine = MACHINES.get(str(info.get("Architecture", "")).lower())
    if machine is None:
        raise SetupError(
            f"The {name} engine at {place} runs on {info.get('Architecture')}, for which there is "
            "no system call profile.",
            "Use an engine on x86-64 or 64-bit ARM.",
        )
    limits = _limits(info)
    missing = [limit for limit in ("memory", "the number of processes") if not limits[limit]]
    if missing:
        raise SetupError(
            f"The {name} engine at {place} cannot limit {' and '.join(missing)} of a container.",
            DELEGATE,
        )
    security = " ".join(info.get("SecurityOptions") or ())
    if "name=seccomp" not in security:
        raise SetupError(
            f"The {name} engine at {place} has no seccomp: system calls could not be limited.",
            "Use a kernel and an engine built with seccomp.",
        )
    runtime = str(info.get("DefaultRuntime") or "runc")
    count = int(info.get("UserIds", 0))
    if 0 < count < MAPPED_UIDS:
        raise SetupError(
            f"The {name} engine at {place} has {count:,} user ids for containers; a sandbox's is "
            f"one of {MAPPED_UIDS:,}.",
            "Give this user a range in /etc/subuid and /etc/subgid (sudo usermod --add-subuids "
            "100000-165535 --add-subgids 100000-165535 $USER), then run `podman system migrate`.",
        )
    maps_uids = (
        "name=rootless" in security
        or "name=userns" in security
        # Docker Desktop's enhanced isolation maps them and does not say so.
        or runtime == "sysbox-runc"
    )
    return Abilities(
        machine=machine,
        cpus=max(1, int(info.get("NCPU", 1))),
        memory_bytes=int(info.get("MemTotal", 0)),
        limits_cpu=limits["processor time"],
        maps_uids=maps_uids,
        cgroup=str(info.get("CgroupVersion") or "1"),
        gvisor=_gvisor(info.get("Runtimes") or {}),
        engine=name,
        runtime=runtime,
        sets_ipc=not maps_uids or _kernel(info) >= IPC_SETTINGS_KERNEL,
        lacking=tuple(limit for limit, there in limits.items() if not there),
        libpod=libpod,
    )


def _gvisor(runtimes: Mapping[str, Any]) -> str:
    """The name that gVisor's runtime is registered under; its program is called runsc."""
    for name, found in runtimes.items():
        program = str((found or {}).get("path", "")).rpartition("/")[2]
        if name == "runsc" or program == "runsc":
            return name
    return ""


def _limits(info: Mapping[str, Any]) -> dict[str, bool]:
    """Which limits there are; what an engine does not say, it has. Without control groups (rootless
    on version 1) it has none, although Docker 20.10 lists them."""
    names = {
        "memory": "MemoryLimit",
        "the number of processes": "PidsLimit",
        "processor time": "CpuCfsQuota",
        "swap": "SwapLimit",
    }
    groups = info.get("CgroupDriver") != "none"
    return {limit: groups and bool(info.get(name, True)) for limit, name in names.items()}


def _kernel(info: Mapping[str, Any]) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", str(info.get("KernelVersion", "")))
    return tuple(map(int, found.groups())) if found else (0, 0)
