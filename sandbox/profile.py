"""The hardened container that every sandbox is: a Policy as the Docker API's configuration."""

from functools import cache
from importlib.resources import files
from typing import Any

from sandbox.abilities import Abilities
from sandbox.policy import MIB, SHM_INODES, Policy
from sandbox.source import COMMAND

WORKSPACE = "/workspace"
HOME = "/home/sandbox"
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the sandbox's own
PRIVATE = "/run/greenroom"
PROXY_PORT = 17310  # on the loopback, where there is a way out; no program's usual one
CAPABILITIES = ("SETUID", "SETGID", "KILL")
# What installers and graders that are root need of it: files of other owners, other accounts.
ROOT_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", *CAPABILITIES)
# gVisor runs some six tasks of the machine's for one process inside.
GVISOR_TASKS = 8
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
    stays: bool = False,
) -> dict[str, Any]:
    """The body of the API's create call. `private_bytes` is the size of the supervisor's folder,
    `abilities` what the engine's machine can do. One that `stays` is there when it has ended."""
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
        # PID 1 takes no signal, from inside or outside, but this one.
        "StopSignal": "SIGKILL",
        "HostConfig": {
            **_host_config(policy, uid, private_bytes, abilities),
            "AutoRemove": not stays,
        },
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
    if policy.isolation == "gvisor":
        optional["Runtime"] = abilities.gvisor
    if policy.on_disk:
        # Volumes without a name: they go with the container.
        optional["Mounts"] = [{"Type": "volume", "Target": place} for place in (WORKSPACE, PRIVATE)]
    if abilities.sets_ipc:
        # What a command leaves of System V is removed in any case; with this it goes sooner.
        optional["Sysctls"] = dict(IPC_LIMITS)
    return {
        **optional,
        "Init": False,
        # Not NetworkDisabled, although that starts in half the time: /etc/hosts would be empty, and
        # `localhost` no name. The resolvers of the host are nobody's business.
        "NetworkMode": "none",
        "ExtraHosts": [f"{HOST_NAME}:127.0.0.1"],
        "Dns": ["127.0.0.1"],
        "DnsSearch": ["."],
        "ReadonlyRootfs": not policy.as_root,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": list(capabilities(policy)),
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp_profile(abilities.machine)}"],
        "PidsLimit": policy.pids * (GVISOR_TASKS if policy.isolation == "gvisor" else 1),
        "Memory": policy.memory_bytes,
        "MemorySwap": policy.memory_bytes,
        "OomScoreAdj": OOM_SCORE,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "LogConfig": {"Type": "none", "Config": {}},
        "Ulimits": [{"Name": name, "Soft": n, "Hard": n} for name, n in limits.items()],
        "Tmpfs": _file_systems(policy, uid, private),
        "MaskedPaths": list(MASKED),
        "ReadonlyPaths": list(READ_ONLY),
    }


def capabilities(policy: Policy) -> tuple[str, ...]:
    """Those of the supervisor; in `compat` the commands have them too."""
    if policy.as_root:
        return ROOT_CAPABILITIES
    # A volume begins as root's: the supervisor has to give it to the commands' uid.
    return (*CAPABILITIES, "CHOWN") if policy.on_disk else CAPABILITIES


def bounds(policy: Policy, private: int) -> dict[str, tuple[int, int]]:
    """The file systems in memory: how many bytes and how many files each may hold. `private` is
    the size of the supervisor's own."""
    found = {}
    if policy.in_memory:
        found[WORKSPACE] = (policy.workspace_bytes, policy.workspace_inodes)
    if not policy.on_disk:
        found[PRIVATE] = (private, private // MIB * 64)
    for place in policy.emptied:
        found[place] = (policy.workspace_bytes, policy.workspace_inodes)
    if not policy.as_root:
        found[HOME] = (policy.home_bytes, policy.scratch_inodes)
        found["/tmp"] = (policy.tmp_bytes, policy.scratch_inodes)  # noqa: S108 - the sandbox's own
    # Docker's own, by ShmSize, has no bound of files.
    found[SHARED_MEMORY] = (policy.shm_bytes, SHM_INODES)
    return found


def _file_systems(policy: Policy, uid: int, private: int) -> dict[str, str]:
    own = f"uid={uid},gid={uid},mode=0755"
    rest = {
        **{WORKSPACE: own, HOME: own, PRIVATE: "uid=0,gid=0,mode=0755"},
        **dict.fromkeys(("/tmp", SHARED_MEMORY, *policy.emptied), "mode=1777"),  # noqa: S108
    }
    return {
        place: f"rw,exec,nosuid,nodev,size={size},nr_inodes={inodes},{rest[place]}"
        for place, (size, inodes) in bounds(policy, private).items()
    }
