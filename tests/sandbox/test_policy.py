import dataclasses

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
    "change", [{"cpus": 0}, {"pids": 2}, {"memory_bytes": 0}, {"command_timeout": 0}]
)
def test_limits_that_nothing_could_run_under_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        dataclasses.replace(Policy(), **change).check()


def test_a_policy_is_plain_data_and_cannot_be_changed() -> None:
    assert Policy().as_dict()["network"] == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        Policy().pids = 4  # type: ignore[misc]
