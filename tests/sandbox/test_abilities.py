"""Engines of all kinds, by what they say of themselves."""

from typing import Any

import pytest

from sandbox.abilities import abilities
from sandbox.errors import SetupError
from sandbox.lifecycle import new_uid

USUAL: dict[str, Any] = {
    "OSType": "linux",
    "Architecture": "x86_64",
    "MemoryLimit": True,
    "PidsLimit": True,
    "CpuCfsQuota": True,
    "CgroupVersion": "2",
    "NCPU": 4,
    "SecurityOptions": ["name=seccomp,profile=default"],
}


def test_a_usual_engine_can_do_all() -> None:
    can = abilities(USUAL, "here")
    assert (can.machine, can.cpus, can.limits_cpu, can.maps_uids) == ("x86_64", 4, True, False)
    assert not can.swappiness
    assert abilities({**USUAL, "CgroupVersion": "1"}, "here").swappiness
    assert abilities({**USUAL, "Architecture": "arm64"}, "here").machine == "aarch64"


@pytest.mark.parametrize("option", ["name=rootless", "name=userns"])
def test_an_engine_that_maps_uids_gets_uids_that_exist(option: str) -> None:
    options = ["name=seccomp,profile=builtin", option]
    can = abilities({**USUAL, "SecurityOptions": options}, "here")
    assert can.maps_uids
    assert all(10_000 < new_uid(mapped=True) < 65_536 for _ in range(100))
    assert all(new_uid(mapped=False) > 1 << 28 for _ in range(100))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"OSType": "windows"}, "windows containers"),
        ({"Architecture": "riscv64"}, "riscv64"),
        ({"MemoryLimit": False}, "limit memory of"),
        ({"PidsLimit": False}, "number of processes"),
        ({"SecurityOptions": ["name=apparmor"]}, "no seccomp"),
        ({"SecurityOptions": None}, "no seccomp"),
    ],
)
def test_an_engine_that_cannot_hold_a_sandbox_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError, match=said):
        abilities({**USUAL, **change}, "here")
