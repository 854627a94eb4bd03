"""What a supervisor tells of the controls around it, and what is made of that."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.abilities import Abilities
from sandbox.container import Sandbox
from sandbox.controls import lacking, opening
from sandbox.errors import InfrastructureError, SetupError
from sandbox.image import Image
from sandbox.policy import Policy
from sandbox.profile import bounds
from sandbox.trees import Base

POLICY = Policy()
PRIVATE = POLICY.private_bytes(False)
GOOD: dict[str, Any] = {
    "Seccomp": 2,
    "NoNewPrivs": 1,
    "CapPrm": 0xE0,
    "CapBnd": 0xE0,
    "memory": POLICY.memory_bytes,
    "swap": 0,
    "processes": POLICY.pids,
    "processor time": 2.0,
    "folders": {
        **{path: list(most) for path, most in bounds(POLICY, PRIVATE).items()},
    },
    "readable": [],
    "writable": [],
    "resources": {"NOFILE": 4096, "FSIZE": POLICY.file_bytes, "CORE": 0, "MEMLOCK": 0},
    "has swap": True,
}


def judged(change: dict[str, Any], **can: Any) -> tuple[str, ...]:
    return lacking({"seen": {**GOOD, **change}}, POLICY, Abilities(cpus=4, **can), PRIVATE)


def without(name: str) -> dict[str, Any]:
    return {"seen": {key: value for key, value in GOOD.items() if key != name}}


def test_where_all_holds_nothing_lacks() -> None:
    assert judged({}) == ()


@pytest.mark.parametrize(
    ("change", "lack"),
    [
        ({"processor time": None}, "processor time"),
        ({"processor time": 2.5}, "processor time"),
        ({"swap": None}, "swap"),
        ({"swap": 1}, "swap"),
        ({"folders": {**GOOD["folders"], "/tmp": [1 << 40, 4096]}}, "bytes in files"),
        ({"folders": {**GOOD["folders"], "/dev/shm": [1 << 40, 4096]}}, "bytes in files"),
        ({"folders": {**GOOD["folders"], "/workspace": [4096, 1 << 40]}}, "number of files"),
        ({"folders": {**GOOD["folders"], "/workspace": [4096, 0]}}, "number of files"),
        ({"resources": {**GOOD["resources"], "FSIZE": -1}}, "per process"),
        ({"readable": ["/proc/kallsyms"]}, "masked files"),
        ({"writable": ["/"]}, "read-only root"),
        ({"writable": ["/proc/sys"]}, "read-only settings of the kernel"),
    ],
)
def test_what_does_not_hold_is_named(change: dict[str, Any], lack: str) -> None:
    assert judged(change) == (lack,)


def test_what_the_engine_said_of_itself_comes_first_and_once() -> None:
    said = ("processor time",)
    assert judged({"processor time": None, "swap": None}, lacking=said) == (*said, "swap")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Seccomp": 0}, "its system call filter"),
        ({"NoNewPrivs": 0}, "no-new-privileges"),
        ({"CapPrm": 0xE1}, "dropping all capabilities"),
        ({"CapBnd": 0x1FF}, "dropping all capabilities"),
        ({"memory": None}, "a limit of memory"),
        ({"memory": POLICY.memory_bytes * 2}, "a limit of memory"),
        ({"processes": None}, "a limit of processes"),
    ],
)
def test_without_what_makes_it_safe_a_sandbox_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError, match=f"without {said}"):
        judged(change)


@pytest.mark.parametrize("name", ["memory", "processes", "Seccomp", "NoNewPrivs"])
def test_a_limit_that_cannot_be_seen_counts_as_there(name: str) -> None:
    assert lacking(without(name), POLICY, Abilities(cpus=4), PRIVATE) == ()


def test_swap_that_cannot_be_seen_matters_only_where_there_is_some() -> None:
    assert lacking(without("swap"), POLICY, Abilities(cpus=4), PRIVATE) == ("swap",)
    assert judged({"has swap": False, "swap": None}) == ()


def test_swap_of_version_1_is_counted_together_with_memory() -> None:
    first = without("swap")
    first["seen"]["memory and swap"] = POLICY.memory_bytes
    assert lacking(first, POLICY, Abilities(cpus=4), PRIVATE) == ()
    first["seen"]["memory and swap"] = POLICY.memory_bytes + (1 << 30)
    assert lacking(first, POLICY, Abilities(cpus=4), PRIVATE) == ("swap",)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(GOOD)), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "/tmp"]), ANYTHING))
def test_whatever_is_told_ends_in_names_or_in_an_error_for_the_user(change: Any) -> None:
    try:
        found = judged(change)
    except (SetupError, InfrastructureError):
        return
    assert all(isinstance(name, str) for name in found)


def test_only_podman_s_folders_have_to_be_handed_over() -> None:
    docker, podman = (opening(7, Policy(), can) for can in (Abilities(), Abilities(libpod="5.4.2")))
    assert docker["hand_over"] == docker["give_up"] == []
    assert {"path": "/workspace", "uid": 7, "mode": 0o755} in podman["hand_over"]
    assert podman["give_up"] == [0, 8]
    # Commands that are root keep what they may have.
    assert opening(7, Policy(preset="compat"), Abilities(libpod="5.4.2"))["give_up"] == [8]


@pytest.mark.docker
async def test_a_sandbox_here_lacks_nothing_that_the_engine_did_not_tell(
    image: Image, make_base: Any
) -> None:
    base: Base = make_base({"a": "a"})
    async with Sandbox.open(image, base, POLICY, resettable=True) as box:
        assert box.unexpected == ()
