import dataclasses
from typing import Any

import pytest

from sandbox.errors import UsageError
from sandbox.policy import GIB, MIB, Policy


def test_the_default_fits_its_memory_also_when_resettable() -> None:
    Policy().check()
    Policy().check(resettable=True)


def test_too_large_file_systems_are_refused_with_the_arithmetic() -> None:
    with pytest.raises(UsageError) as caught:
        Policy(workspace_bytes=3 * GIB).check()
    assert "workspace 3,072" in caught.value.message
    assert "memory is 2,048" in caught.value.message


def test_the_copy_of_a_resettable_sandbox_counts() -> None:
    policy = Policy(memory_bytes=1400 * MIB)
    policy.check()
    with pytest.raises(UsageError):
        policy.check(resettable=True)


def test_many_small_files_count() -> None:
    with pytest.raises(UsageError, match="files at 1 KiB each"):
        Policy(workspace_inodes=4_000_000).check()


@pytest.mark.parametrize(
    "change",
    [
        {"cpus": 0},
        {"pids": 2},
        {"memory_bytes": 0},
        {"command_timeout": 0},
        {"background": -1},
        {"background": 1000},
        {"preset": "none"},
        {"isolation": "vm"},
        {"workspace": "network"},
    ],
)
def test_limits_that_nothing_could_run_under_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        dataclasses.replace(Policy(), **change).check()


def test_a_policy_is_plain_data_and_cannot_be_changed() -> None:
    assert Policy().as_dict()["network"] == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        Policy().pids = 4  # type: ignore[misc]


def test_a_workspace_on_disk_takes_no_memory() -> None:
    on_disk = Policy(workspace="disk", workspace_bytes=100 * GIB)
    on_disk.check(resettable=True)
    assert on_disk.spare_bytes() > Policy().spare_bytes()


def test_what_cannot_be_put_back_is_not_opened_for_that() -> None:
    Policy(preset="compat").check()
    with pytest.raises(UsageError, match="cannot be put back"):
        Policy(preset="compat").check(resettable=True)


def test_nothing_relaxes_silently() -> None:
    assert Policy().relaxations() == ()
    # These bound what is kept, and not what may be used.
    harmless = {"command_timeout", "output_bytes", "output_stop_bytes", "network", "emptied"}
    other: dict[str, Any] = {"preset": "compat", "workspace": "disk", "isolation": "gvisor"}
    for field in dataclasses.fields(Policy):
        if field.name in harmless:
            continue
        usual = getattr(Policy(), field.name)
        value = other.get(field.name) or usual + 1
        raised = dataclasses.replace(Policy(), **{field.name: value})
        assert len(raised.relaxations()) == 1, field.name
    assert Policy(memory_bytes=GIB, pids=100).relaxations() == ()


def test_a_relaxation_says_by_how_much() -> None:
    policy = Policy(memory_bytes=4 * GIB, cpus=3.5, background=2)
    assert policy.relaxations() == (
        "up to 2 commands may run in the background",
        "memory: 4,096 MiB instead of 2,048",
        "cores: 3.5 instead of 2",
    )
