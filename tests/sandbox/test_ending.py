"""What took a sandbox away: each its own named outcome, with words and advice."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

import pytest

from sandbox.container import Sandbox
from sandbox.ending import HINTS, why_ended, why_silent
from sandbox.engine import Engine
from sandbox.errors import Cause, InfrastructureError
from sandbox.image import Image
from sandbox.policy import MIB, Policy
from sandbox.trees import Base
from tests.sandbox.conftest import MakeBase

docker = pytest.mark.docker


@pytest.fixture(scope="module")
def base(make_base: MakeBase) -> Base:
    return make_base({"a": "a"})


async def broken(work: Any) -> InfrastructureError:
    with pytest.raises(InfrastructureError) as caught:
        async with asyncio.timeout(30):
            await work
    return caught.value


# -- in real containers --------------------------------------------------------------------------

Act = Callable[[Engine, str], object]


@docker
@pytest.mark.parametrize(
    "act",
    [
        lambda engine, ident: engine.api.kill(ident),
        lambda engine, ident: engine.api.stop(ident),
        lambda engine, ident: engine.api.remove_container(ident, force=True),
    ],
    ids=["kill", "stop", "remove"],
)
async def test_killed_from_outside(image: Image, base: Base, engine: Engine, act: Act) -> None:
    async with Sandbox.open(image, base, Policy()) as box:
        running = asyncio.create_task(box.run("sleep 66"))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(act, engine, box.container_id)
        error = await broken(running)
        assert (error.cause, error.hint) == ("killed", HINTS["killed"])
        assert "killed or stopped from outside" in error.message
        again = await broken(box.read("a"))
        assert (again.cause, again.message) == ("killed", error.message)


@docker
async def test_killed_while_nobody_waits(image: Image, base: Base, engine: Engine) -> None:
    async with Sandbox.open(image, base, Policy()) as box:
        engine.api.kill(box.container_id)
        await asyncio.sleep(0.3)
        assert (await broken(box.write("b", b"b"))).cause == "killed"


@docker
async def test_a_closed_sandbox_says_so(image: Image, base: Base) -> None:
    async with Sandbox.open(image, base, Policy()) as box:
        running = asyncio.create_task(box.run("sleep 66"))
        await asyncio.sleep(0.1)
    assert (await broken(running)).cause == "closed"


@docker
async def test_paused(
    image: Image, base: Base, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch)
    async with Sandbox.open(image, base, Policy()) as box:
        running = asyncio.create_task(box.run("sleep 66"))
        await asyncio.sleep(0.1)
        engine.api.pause(box.container_id)
        error = await broken(running)
        assert (error.cause, error.hint) == ("paused", HINTS["paused"])
        assert (await broken(box.read("a"))).cause == "paused"
    assert not engine.api.containers(all=True, filters={"id": box.container_id})


@docker
async def test_a_supervisor_that_answers_is_not_looked_at(
    image: Image, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch)
    monkeypatch.setattr("sandbox.channel.QUIET_SECONDS", 2.0)
    looked: list[str] = []
    monkeypatch.setattr("sandbox.lifecycle.why_silent", lambda api, ident: looked.append(ident))
    async with Sandbox.open(image, base, Policy()) as box:
        looked.clear()
        assert (await box.run("sleep 4")).ok
    assert not looked


@docker
async def test_a_supervisor_that_is_only_busy_is_waited_for(
    image: Image, base: Base, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch)
    async with Sandbox.open(image, base, Policy()) as box:
        with stopped(engine, box):
            running = asyncio.create_task(box.run("echo done"))
            await asyncio.sleep(1.5)
        assert (await running).output.text == "done\n"


@docker
async def test_a_supervisor_that_never_answers_is_given_up(
    image: Image, base: Base, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch)
    monkeypatch.setattr("sandbox.wire.ANSWER_SECONDS", 1.0)
    async with Sandbox.open(image, base, Policy()) as box:
        with stopped(engine, box):
            error = await broken(box.run("true", timeout=0.2))
    assert error.cause == "silent"
    assert "did not answer within 1.2 seconds" in error.message


@docker
async def test_out_of_memory(image: Image, base: Base, engine: Engine) -> None:
    async with Sandbox.open(image, base, Policy()) as box:
        # The least that is left for the supervisor alone: what it has to hold then does not fit.
        limit = 48 * MIB
        engine.api.update_container(box.container_id, mem_limit=limit, memswap_limit=limit)
        error = await broken(box.write("large", os.urandom(60 * MIB)))
    assert (error.cause, error.hint) == ("memory", HINTS["memory"])


def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed at once."""
    monkeypatch.setattr("sandbox.channel.PING_SECONDS", 0.2)
    monkeypatch.setattr("sandbox.channel.QUIET_SECONDS", 0.3)


@contextmanager
def stopped(engine: Engine, box: Sandbox) -> Iterator[None]:
    """The supervisor does nothing meanwhile, as far as anybody can see from outside."""
    pid = engine.api.inspect_container(box.container_id)["State"]["Pid"]
    if os.geteuid() != 0 or not os.path.exists(f"/proc/{pid}"):
        pytest.skip("only root of the engine's own machine can stop a supervisor")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# -- as engines tell it --------------------------------------------------------------------------

RUNNING = {"Status": "running", "Running": True, "Paused": False, "ExitCode": 0}
Event = Mapping[str, Any]


def event(name: str, time: int = 1000, **attributes: str) -> Event:
    return {"Action": name, "time": time, "Actor": {"Attributes": attributes}}


class Told:
    """The client of an engine that says these things."""

    base_url, api_version = "http://engine", "1.41"
    status = 200

    def __init__(self, state: Mapping[str, Any] | None, *events: Event) -> None:
        self.state = state
        self.events = events

    def get(self, url: str, **_: object) -> "Answer":
        return Answer(self, url.endswith("/json"))


class Answer:
    def __init__(self, told: Told, inspected: bool) -> None:
        self._told = told
        self.status_code = told.status if told.state is not None or not inspected else 404

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def json(self) -> object:
        return {"State": self._told.state}

    def iter_lines(self) -> Iterator[bytes]:
        for told in self._told.events:
            yield json.dumps(told).encode()
        raise TimeoutError


@pytest.mark.parametrize(
    ("cause", "state", "events"),
    [
        ("killed", None, [event("kill", signal="9"), event("die", exitCode="137")]),
        ("killed", None, [event("kill", signal="15"), event("die", exitCode="0")]),
        ("killed", None, [event("die", exitCode="137")]),
        # Memory that was short long before is not what ended it, nor is a harmless signal.
        ("killed", None, [event("oom", 10), event("die", 1000, exitCode="137")]),
        (
            "memory",
            None,
            [event("kill", signal="28"), event("oom"), event("die", exitCode="137")],
        ),
        ("killed", None, [event("oom"), event("kill", signal="9"), event("die", exitCode="137")]),
        ("memory", {"OOMKilled": True}, [event("die", exitCode="137")]),
        # Podman tells the status under a name of its own.
        ("memory", None, [event("oom"), event("die", containerExitCode="137")]),
        ("silent", None, [event("die", exitCode="0")]),
        ("supervisor", None, [event("die", exitCode="1")]),
        ("engine", None, []),
        ("engine", RUNNING, []),
        ("engine", {"Running": False, "ExitCode": 137}, [event("kill", signal="9")]),
    ],
)
def test_an_end_is_known_by_what_the_engine_tells(
    cause: str, state: Mapping[str, Any] | None, events: list[Event]
) -> None:
    assert why_ended(Told(state, *events), "x").cause == cause


def test_a_supervisor_without_memory_says_it_itself() -> None:
    told = Told(None, event("die", exitCode="1"))
    assert why_ended(told, "x", "Traceback ...\nMemoryError\n").cause == "memory"


def test_an_engine_that_does_not_answer_is_the_cause() -> None:
    class Gone(Told):
        def get(self, url: str, **_: object) -> Answer:
            raise ConnectionRefusedError("refused")

    assert why_ended(Gone(None), "x").cause == "engine"
    with pytest.raises(ConnectionRefusedError):
        why_silent(Gone(None), "x")


def test_an_engine_that_answers_with_an_error_knows_nothing() -> None:
    failing = Told(RUNNING)
    failing.status = 500
    with pytest.raises(OSError, match="status 500"):
        why_silent(failing, "x")


def test_silence_is_explained_where_the_engine_can() -> None:
    assert why_silent(Told(RUNNING), "x") is None
    # An engine with much to do takes its time to start one.
    assert why_silent(Told({"Status": "created", "Running": False}), "x") is None
    paused = why_silent(Told(RUNNING | {"Paused": True}), "x")
    assert paused is not None
    assert paused.cause == "paused"
    ended = why_silent(Told(None, event("kill", signal="9"), event("die", exitCode="137")), "x")
    assert ended is not None
    assert ended.cause == "killed"


def test_every_cause_that_a_user_meets_has_advice() -> None:
    assert set(get_args(Cause)) - set(HINTS) == {"", "closed"}
