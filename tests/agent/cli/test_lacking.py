"""A control that the engine lacks is said by every command that opens a sandbox, and recorded."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main
from sandbox import lifecycle
from sandbox.engine import shared_engine
from sandbox.profile import container_config
from tests.agent.bench import FIX
from tests.agent.cli.conftest import User

pytestmark = pytest.mark.docker
LINE = "this engine does not hold a sandbox to: processor time (see `greenroom doctor`)"
Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run(user: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: standard output and standard error."""
    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(user.checkout)

    def command(*words: str) -> tuple[str, str]:
        assert main(list(words)) == 0
        said = capsys.readouterr()
        return said.out, said.err

    return command


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine says of itself that it cannot limit CPU time."""
    can = shared_engine().abilities
    lame = replace(can, limits_cpu=False, lacking=("processor time",))
    monkeypatch.setattr(shared_engine(), "abilities", lame)


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine promises to limit CPU time, and does not."""

    def unlimited(*arguments: Any, **named: Any) -> dict[str, Any]:
        config = container_config(*arguments, **named)
        del config["HostConfig"]["NanoCpus"]
        return config

    monkeypatch.setattr(lifecycle, "container_config", unlimited)


def events(user: User) -> list[dict[str, Any]]:
    log = next(Path(user.home).glob(".local/state/greenroom/runs/*/trajectory.jsonl"))
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.usefixtures("told")
def test_check_says_what_the_engine_told(run: Run) -> None:
    assert run("check")[0].count(LINE) == 1
    out, err = run("check", "--json")
    assert json.loads(out)["engine"]["lacking"] == ["processor time"]
    assert LINE in err


@pytest.mark.usefixtures("told")
def test_solve_says_and_records_what_the_engine_told(run: Run, user: User) -> None:
    out, err = run("solve", "-m", user.script(FIX), "--json")
    assert err.count(LINE) == 1
    document = json.loads(out)
    assert document["engine"]["lacking"] == ["processor time"]
    assert document["engine"]["name"] in ("Docker", "Podman")
    recorded = events(user)
    assert recorded[0]["engine"] == document["engine"]
    boxes = [event for event in recorded if event["type"] == "sandbox"]
    assert boxes
    assert all(event["lacking"] == ["processor time"] for event in boxes)


@pytest.mark.usefixtures("hidden")
@pytest.mark.nightly
def test_what_a_sandbox_itself_shows_to_be_lacking_is_said_too(run: Run, user: User) -> None:
    assert run("check")[0].count(LINE) == 1
    out, _ = run("solve", "-m", user.script(FIX), "--json")
    assert json.loads(out)["engine"]["lacking"] == []
    noted = [event["text"] for event in events(user) if event["type"] == "note"]
    assert noted.count(LINE) == 1
    user.git("stash")
    (user.home / "fix.patch").write_text(json.loads(out)["diff"])
    assert LINE in run("verify", str(user.home / "fix.patch"))[0]


@pytest.mark.usefixtures("told")
def test_doctor_names_it_and_the_probe_finds_it(
    user: User, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 3
    said = capsys.readouterr().out
    assert "this engine does not hold a sandbox to: processor time" in said
    assert "processor time does not hold: unbounded" in said


def test_where_nothing_lacks_nothing_is_said(run: Run) -> None:
    assert "does not hold" not in run("check")[0]
