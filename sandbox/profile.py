"""The hardened container that every sandbox is: a Policy as the Docker API's configuration."""

from functools import cache
from importlib.resources import files
from typing import Any

from sandbox.abilities import Abilities
from sandbox.policy import MIB, SHM_INODES, Policy
from sandbox.source import COMMAND

WORKSPACE = "/workspace"
HOME = "/home/sandbox"
PRIVATE = "/run/greenroom"
CAPABILITIES = ("SETUID", "SETGID", "KILL")
HOST_NAME = "sandbox"
OOM_SCORE = 500
NANO = 10**9
# Docker's own list, and what else tells about the host.
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/class/dmi",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel",
)
# System V objects outlive processes, and are charged to the sandbox's memory: a few, and small.
IPC_LIMITS = {
    "kernel.shm_rmid_forced": "1",
    "kernel.msgmni": "16",
    "kernel.sem": "250 32000 100 128",
}
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@cache
def seccomp_profile(machine: str) -> str:
    """The seccomp profile for a machine (x86_64, aarch64), as JSON text."""
    return files("sandbox").joinpath(f"seccomp/{machine}.json").read_text("utf-8")


def container_config(
    policy: Policy,
    image: str,
    uid: int,
    labels: dict[str, str],
    *,
    private_bytes: int,
    abilities: Abilities,
) -> dict[str, Any]:
    """The body of the API's create call. `private_bytes` is the size of the supervisor's folder,
    `abilities` what the engine's machine can do."""
    return {
        "Image": image,
        "Entrypoint": list(COMMAND),
        "Cmd": [],
        "User": "0:0",
        "WorkingDir": "/",
        "Labels": labels,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "Tty": False,
        "Hostname": HOST_NAME,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(policy, uid, private_bytes, abilities),
    }


def _host_config(policy: Policy, uid: int, private: int, abilities: Abilities) -> dict[str, Any]:
    limits = {
        "nofile": policy.open_files,
        "core": 0,
        "fsize": policy.file_bytes,
        "memlock": 0,
        "msgqueue": 0,
    }
    optional: dict[str, Any] = {}
    if abilities.limits_cpu:
        optional["NanoCpus"] = int(min(policy.cpus, abilities.cpus) * NANO)
    if abilities.swappiness:
        optional["MemorySwappiness"] = 0
    return {
        **optional,
        "AutoRemove": True,
        "Init": False,
        # Not NetworkDisabled, although that starts in half the time: /etc/hosts would be empty, and
        # `localhost` no name. The resolvers of the host are nobody's business.
        "NetworkMode": "none",
        "ExtraHosts": [f"{HOST_NAME}:127.0.0.1"],
        "Dns": ["127.0.0.1"],
        "DnsSearch": ["."],
        "ReadonlyRootfs": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp_profile(abilities.machine)}"],
        "PidsLimit": policy.pids,
        "Memory": policy.memory_bytes,
        "MemorySwap": policy.memory_bytes,
        "OomScoreAdj": OOM_SCORE,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "LogConfig": {"Type": "none", "Config": {}},
        "Ulimits": [{"Name": name, "Soft": n, "Hard": n} for name, n in limits.items()],
        "Tmpfs": _file_systems(policy, uid, private),
        "Sysctls": dict(IPC_LIMITS),
        "MaskedPaths": list(MASKED),
        "ReadonlyPaths": list(READ_ONLY),
    }


def _file_systems(policy: Policy, uid: int, private: int) -> dict[str, str]:
    own = f"uid={uid},gid={uid},mode=0755"
    scratch = policy.scratch_inodes
    parts = {
        WORKSPACE: (policy.workspace_bytes, policy.workspace_inodes, own),
        HOME: (policy.home_bytes, scratch, own),
        "/tmp": (policy.tmp_bytes, scratch, "mode=1777"),  # noqa: S108 - the sandbox's own
        # Docker's own, by ShmSize, has no bound of files.
        "/dev/shm": (policy.shm_bytes, SHM_INODES, "mode=1777"),  # noqa: S108
        PRIVATE: (private, private // MIB * 64, "uid=0,gid=0,mode=0755"),
    }
    return {
        place: f"rw,exec,nosuid,nodev,size={size},nr_inodes={inodes},{rest}"
        for place, (size, inodes, rest) in parts.items()
    }
