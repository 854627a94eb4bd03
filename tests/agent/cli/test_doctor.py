"""`greenroom doctor`: on an engine that holds, on one that does not, and without one."""

import json
from typing import Any

import pytest

from agent.cli.main import main
from sandbox import lifecycle
from sandbox.profile import container_config
from tests.agent.cli.conftest import User


@pytest.mark.docker
def test_the_engine_and_each_control_are_told(user: User) -> None:
    done = user.greenroom("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "engine     " in done.stdout
    assert "network          holds  reach an address" in done.stdout
    assert "controls hold" in done.stdout


@pytest.mark.docker
def test_json(user: User) -> None:
    done = user.greenroom("doctor", "--json")
    document = json.loads(done.stdout)
    assert document["schema"] == "greenroom.doctor/1"
    assert document["holds"] is True
    assert document["engine"]["machine"] in ("x86_64", "aarch64")
    assert all(control["holds"] for control in document["controls"])


@pytest.mark.docker
def test_a_control_that_does_not_hold_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def writable(*arguments: Any, **named: Any) -> dict[str, Any]:
        config = container_config(*arguments, **named)
        config["HostConfig"]["ReadonlyRootfs"] = False
        return config

    monkeypatch.setattr(lifecycle, "container_config", writable)
    assert main(["doctor"]) == 3
    said = capsys.readouterr().out
    assert "read-only root   FAILS" in said
    assert "read-only root does not hold: " in said
    assert "Do not run code that you do not trust" in said


def test_without_an_engine_it_says_what_to_do(user: User) -> None:
    done = user.greenroom("doctor", DOCKER_HOST=f"unix://{user.home}/none.sock")
    assert done.returncode == 3
    assert done.stdout.startswith("greenroom  ")
    assert "No Docker engine listens" in done.stderr
    assert "Start the engine" in done.stderr
