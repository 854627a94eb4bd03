"""The profiles as data. What they stop is tried in tests/attacks."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

CHECKED = {
    "socket", "socketpair", "clone", "personality", "mmap", "memfd_create", "shmget", "ioctl",
    "setsockopt", "prctl",
}  # fmt: skip
REGISTER = st.integers(0, (1 << 64) - 1)
TYPED, LINUX, DISCIPLINE = 0x5412, 0x541C, 0x5423


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


def allowed(name: str, *arguments: int) -> bool:
    """Whether the profiles allow a call, by what the registers hold."""

    def met(test: dict[str, Any]) -> bool:
        value = arguments[test["index"]]
        if test["op"] == "SCMP_CMP_EQ":
            return bool(value == test["value"])
        return bool(value & test["value"] == test["valueTwo"])

    rules = json.loads(seccomp_profile("x86_64"))["syscalls"][1:]
    mine = [rule for rule in rules if rule["names"] == [name]]
    return any(rule["action"] == "SCMP_ACT_ALLOW" and all(map(met, rule["args"])) for rule in mine)


@given(REGISTER | st.sampled_from([TYPED, LINUX, DISCIPLINE]), REGISTER)
def test_every_request_of_a_device_but_three_is_allowed(request: int, above: int) -> None:
    # The kernel looks at the lower half of the register.
    lower = request & 0xFFFFFFFF
    for register in (lower, lower | above & ~0xFFFFFFFF):
        assert allowed("ioctl", 3, register) == (lower not in (TYPED, LINUX, DISCIPLINE))


def test_every_request_of_a_terminal_but_three_is_allowed() -> None:
    refused = [n for n in range(0x5300, 0x5600) if not allowed("ioctl", 3, n)]
    assert refused == [TYPED, LINUX, DISCIPLINE]


def test_no_filter_can_be_given_to_a_socket_or_a_process() -> None:
    assert [n for n in range(128) if not allowed("setsockopt", 3, 1, n)] == [26, 50, 51, 52]
    assert [n for n in range(128) if not allowed("prctl", n)] == [22]


@given(REGISTER.filter(lambda high: high >> 32))
def test_the_upper_half_of_a_register_opens_no_filter(high: int) -> None:
    above = high & ~0xFFFFFFFF
    assert not allowed("setsockopt", 3, above | 1, 26)
    assert not allowed("setsockopt", 3, 1, above | 26)
    assert not allowed("prctl", above | 22)


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
