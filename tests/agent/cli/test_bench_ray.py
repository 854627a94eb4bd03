"""A Ray cluster of several nodes on this machine, and runs on it: minutes, so nightly."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.cli.conftest import User

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.docker, pytest.mark.nightly]
NODES = 3
# Ray knows a machine by its address and not by loopback, so its ports are on that.
HEAD = {"num_cpus": 1, "include_dashboard": False}
NODE = {"num_cpus": 1, "resources": {"sandbox": 2}}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three nodes that offer two sandboxes each, and a head that offers none."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=HEAD)
    made.ours = [made.add_node(**NODE) for _ in range(NODES)]
    yield made
    made.shutdown()


def begin(user: User, address: str, *words: str) -> "subprocess.Popen[str]":
    flags = ("--engine", "ray", "--ray-address", address)
    return subprocess.Popen(
        user.command("bench", "starter", *flags, *words),
        env={**os.environ, **user.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def results(folder: Path) -> list[tuple[str, str]]:
    log = folder / "results.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return [(each["task"], each["status"]) for each in map(json.loads, lines)]


def test_every_attempt_has_one_result_although_a_node_is_killed(user: User, cluster: Any) -> None:
    folder = user.home / "run"
    running = begin(user, cluster.address, "--gold", "-l", "8", "-o", str(folder))
    deadline = time.monotonic() + 150
    while len(results(folder)) < 2 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    cluster.remove_node(cluster.ours.pop(), allow_graceful=False)
    said, _ = running.communicate(timeout=300)
    assert running.returncode == 0, said
    found = results(folder)
    assert len(found) == len({task for task, _ in found}) == 8, said
    assert {status for _, status in found} == {"solved"}
    assert "was lost" in said
    logs = list((folder / "attempts").glob("*/1/trajectory.jsonl"))
    assert len(logs) == 8
    assert (folder / "report.html").exists()
    images = json.loads((folder / "manifest.json").read_text())["images"]
    assert images
    assert all(image["id"].startswith("sha256:") for image in images.values())


def test_a_cluster_without_sandboxes_is_named(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=HEAD)
    try:
        running = begin(user, made.address, "--gold", "-o", str(user.home / "run"))
        said, _ = running.communicate(timeout=120)
    finally:
        made.shutdown()
    assert running.returncode == 2, said
    assert "no node of the Ray cluster offers the resource sandbox" in said


def test_an_address_where_nothing_answers_is_named(user: User) -> None:
    running = begin(user, "127.0.0.1:1", "--gold", "-o", str(user.home / "run"))
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 3, said
    assert "no Ray cluster answers at 127.0.0.1:1" in said
