"""A suite's task as it is asked for: its own limits, and the user's."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent import settings
from agent.keys import Value
from agent.request import Request, suite_task
from sandbox.policy import Policy
from sandbox.trees import TreeStore

SUITE = """\
[[task]]
id = "a"
instruction = "Do it."
base = "base"
test_cmd = "python3 -m pytest"
expected = ["test_a.py::test_a"]
memory = "4G"
workspace_size = "1G"
pids = 99
"""


@pytest.fixture
def reference(tmp_path: Path) -> str:
    (tmp_path / "suite.toml").write_text(SUITE)
    (tmp_path / "base").mkdir()
    (tmp_path / "base/test_a.py").write_text("def test_a(): assert False\n")
    return f"tasks:{tmp_path}/suite.toml/a"


def policy(reference: str, folder: Path, flags: Mapping[str, Value]) -> Policy:
    store = TreeStore.create(folder / "store")
    found = settings.load(None, flags, environment={})
    return suite_task(Request(folder, suite_task=reference, flags=flags), found, store).policy


def test_a_suite_s_limits_hold_where_the_user_says_nothing(reference: str, tmp_path: Path) -> None:
    found = policy(reference, tmp_path, {"cpus": 1.0})
    assert (found.memory_bytes, found.workspace_bytes, found.pids) == (4 << 30, 1 << 30, 99)
    assert found.cpus == 1.0


def test_what_the_user_says_beats_a_suite(reference: str, tmp_path: Path) -> None:
    found = policy(reference, tmp_path, {"memory": 1 << 30, "pids": 64})
    assert (found.memory_bytes, found.pids) == (1 << 30, 64)
    # Sizes that go with the user's memory, not with the suite's.
    assert found.workspace_bytes == 256 << 20


def test_without_limits_of_its_own_a_task_has_the_user_s(tmp_path: Path) -> None:
    assert policy("starter/line-wrap", tmp_path, {}) == Policy()
