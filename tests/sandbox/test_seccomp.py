"""The profiles as data. What they stop is tried in tests/attacks."""

import json
from typing import Any

import pytest

from sandbox.abilities import Abilities
from sandbox.policy import Policy
from sandbox.profile import container_config, seccomp_profile

MACHINES = ["x86_64", "aarch64"]
REFUSED = {
    "ptrace", "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "bpf", "kcmp",
    "perf_event_open", "userfaultfd", "kexec_load", "kexec_file_load", "init_module",
    "finit_module", "delete_module", "add_key", "request_key", "keyctl", "process_vm_readv",
    "process_vm_writev", "open_by_handle_at", "fsopen", "fsmount", "open_tree", "move_mount",
    "mount_setattr", "swapon", "reboot", "acct", "settimeofday", "clock_settime", "iopl", "ioperm",
    "modify_ldt", "syslog", "quotactl", "fanotify_init", "pidfd_getfd", "io_uring_setup",
    "memfd_secret", "lookup_dcookie", "vhangup", "sethostname", "clock_adjtime", "adjtimex",
    "io_setup", "io_submit",
}  # fmt: skip

CHECKED = {"socket", "socketpair", "clone", "personality", "mmap", "memfd_create"}


@pytest.mark.parametrize("machine", MACHINES)
def test_everything_not_named_is_refused(machine: str) -> None:
    profile = json.loads(seccomp_profile(machine))
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["architectures"] == [f"SCMP_ARCH_{machine.upper()}"]


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_dangerous_is_named_as_allowed(machine: str) -> None:
    allowed = {
        name
        for rule in json.loads(seccomp_profile(machine))["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW"
        for name in rule["names"]
    }
    assert not allowed & REFUSED
    assert {"read", "execve", "setresuid", "setgroups", "kill", "openat", "wait4"} <= allowed


@pytest.mark.parametrize("machine", MACHINES)
def test_some_are_allowed_by_their_arguments_only(machine: str) -> None:
    for rule in json.loads(seccomp_profile(machine))["syscalls"]:
        if CHECKED & set(rule["names"]):
            assert rule["args"], rule
            assert len(rule["names"]) == 1
    families = {
        rule["args"][0]["value"]
        for rule in json.loads(seccomp_profile(machine))["syscalls"]
        if rule["names"] == ["socket"]
    }
    assert families == {1, 2, 10, 16}


def test_the_profiles_say_the_same_as_far_as_the_machines_do() -> None:
    x86, arm = (json.loads(seccomp_profile(machine)) for machine in MACHINES)
    assert set(arm["syscalls"][0]["names"]) < set(x86["syscalls"][0]["names"])
    assert arm["syscalls"][1:] == x86["syscalls"][1:]


def config(policy: Policy | None = None, **can: Any) -> dict[str, Any]:
    policy, abilities = policy or Policy(), Abilities(**can)
    return container_config(
        policy, "image", 12345, {"a": "b"}, private_bytes=1, abilities=abilities
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_the_container_gets_its_machine_s_profile(machine: str) -> None:
    options = config(machine=machine)["HostConfig"]["SecurityOpt"]
    assert options[1] == "seccomp=" + seccomp_profile(machine)


def test_no_more_processors_are_asked_for_than_there_are() -> None:
    assert config(cpus=1)["HostConfig"]["NanoCpus"] == 10**9
    assert config(Policy(cpus=0.5), cpus=8)["HostConfig"]["NanoCpus"] == 5 * 10**8
    assert "NanoCpus" not in config(limits_cpu=False)["HostConfig"]


def test_the_container_has_no_way_out() -> None:
    made = config(machine="x86_64")
    host = made["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == ["SETUID", "SETGID", "KILL"]
    assert host["SecurityOpt"][0] == "no-new-privileges:true"
    assert host["MemorySwap"] == host["Memory"] == Policy().memory_bytes
    assert not {"Binds", "Mounts", "Devices", "PidMode", "UTSMode"} & host.keys()
    assert "uid=12345" in host["Tmpfs"]["/workspace"]
    assert {"/workspace", "/tmp", "/home/sandbox", "/dev/shm"} <= host["Tmpfs"].keys()
    assert all("size=" in mount and "nr_inodes=" in mount for mount in host["Tmpfs"].values())
    assert made["StdinOnce"] is True
    assert made["Labels"] == {"a": "b"}
    assert "Env" not in made
