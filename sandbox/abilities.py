"""What an engine's machine can do, as far as sandboxes depend on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.errors import SetupError

# The machines that there is a seccomp profile for, by the names that engines use.
MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


@dataclass(frozen=True)
class Abilities:
    """`machine` is x86_64 or aarch64, `cpus` how many there are, `memory_bytes` how much memory (0:
    not known), `cgroup` the version of its control groups. `limits_cpu` tells whether CPU time can
    be limited; `maps_uids` that the engine maps user ids (rootless, userns-remap), so that only the
    first 65,536 exist inside. `gvisor` is the name of the runtime that is gVisor's, "" without."""

    machine: str = "x86_64"
    cpus: int = 1
    memory_bytes: int = 0
    limits_cpu: bool = True
    maps_uids: bool = False
    cgroup: str = "2"
    gvisor: str = ""

    @property
    def swappiness(self) -> bool:
        """Whether that can be set for a container."""
        return self.cgroup == "1"


def abilities(info: Mapping[str, Any], place: str) -> Abilities:
    """Read the engine's description of itself. Raises SetupError for an engine that cannot hold a
    sandbox; `place` says which it is."""
    system = info.get("OSType", "linux")
    if system != "linux":
        raise SetupError(
            f"The Docker engine at {place} runs {system} containers.",
            "Switch it to Linux containers, or choose another engine.",
        )
    machine = MACHINES.get(str(info.get("Architecture", "")).lower())
    if machine is None:
        raise SetupError(
            f"The Docker engine at {place} runs on {info.get('Architecture')}, for which there is "
            "no system call profile.",
            "Use an engine on x86-64 or 64-bit ARM.",
        )
    names = {"MemoryLimit": "memory", "PidsLimit": "the number of processes"}
    missing = [text for name, text in names.items() if not info.get(name, True)]
    if missing:
        raise SetupError(
            f"The Docker engine at {place} cannot limit {' and '.join(missing)} of a container.",
            "A rootless engine needs cgroup v2 with delegation: see its documentation on "
            "limiting resources.",
        )
    security = " ".join(info.get("SecurityOptions") or ())
    if "name=seccomp" not in security:
        raise SetupError(
            f"The Docker engine at {place} has no seccomp: system calls could not be limited.",
            "Use a kernel and an engine built with seccomp.",
        )
    return Abilities(
        machine=machine,
        cpus=max(1, int(info.get("NCPU", 1))),
        memory_bytes=int(info.get("MemTotal", 0)),
        limits_cpu=bool(info.get("CpuCfsQuota", True)),
        maps_uids="name=rootless" in security or "name=userns" in security,
        cgroup=str(info.get("CgroupVersion", "1")),
        gvisor=_gvisor(info.get("Runtimes") or {}),
    )


def _gvisor(runtimes: Mapping[str, Any]) -> str:
    """The name that gVisor's runtime is registered under; its program is called runsc."""
    for name, found in runtimes.items():
        program = str((found or {}).get("path", "")).rpartition("/")[2]
        if name == "runsc" or program == "runsc":
            return name
    return ""
