"""The profiles as data. What they stop is tried in tests/attacks."""

import json

import pytest

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
}  # fmt: skip


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
def test_sockets_and_clones_are_allowed_by_their_arguments_only(machine: str) -> None:
    for rule in json.loads(seccomp_profile(machine))["syscalls"]:
        if {"socket", "socketpair", "clone", "personality"} & set(rule["names"]):
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


@pytest.mark.parametrize("name", ["amd64", "arm64", "x86_64", "aarch64"])
def test_the_engine_s_names_of_machines_are_known(name: str) -> None:
    options = container_config(Policy(), "image", 5, {}, private_bytes=1, machine=name)[
        "HostConfig"
    ]["SecurityOpt"]
    assert json.loads(options[1].removeprefix("seccomp="))["syscalls"]


def test_the_container_has_no_way_out() -> None:
    config = container_config(
        Policy(), "image", 12345, {"a": "b"}, private_bytes=1, machine="x86_64"
    )
    host = config["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == ["SETUID", "SETGID", "KILL"]
    assert host["SecurityOpt"][0] == "no-new-privileges:true"
    assert host["MemorySwap"] == host["Memory"] == Policy().memory_bytes
    assert not {"Binds", "Mounts", "Devices", "PidMode", "UTSMode"} & host.keys()
    assert "uid=12345" in host["Tmpfs"]["/workspace"]
    assert all("size=" in mount and "nr_inodes=" in mount for mount in host["Tmpfs"].values())
    assert config["StdinOnce"] is True
    assert config["Labels"] == {"a": "b"}
    assert "Env" not in config
