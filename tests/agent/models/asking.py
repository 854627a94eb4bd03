"""Turns asked of the misbehaving server, and what came of them."""

import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.conversation import (
    Conversation,
    SystemMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.base import (
    Event,
    Model,
    ModelError,
    Retrying,
    Sampling,
    TurnDone,
)
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from tests.faults.server import (
    FaultServer,
    Reply,
)

KEY = "sk-test-0123456789abcdef"
SHELL = ToolSpec("shell", "Runs a command.", {"type": "object", "properties": {}})
TASK: Conversation = (SystemMessage("Be good."), UserMessage("Fix it."))


def model(server: FaultServer, name: str = "openai:m", key: str = "", **settings: Any) -> Model:
    given = {"base_url": server.base_url, "retry_wait": 0.001, "retries": 2, **settings}
    return open_model(name, ModelSettings(**given), {"OPENAI_API_KEY": key})


async def turn(
    server: FaultServer,
    conversation: Conversation = TASK,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    **settings: Any,
) -> tuple[list[Event], TurnDone]:
    """The events of one turn, and its end."""
    opened = model(server, **settings)
    try:
        events = [event async for event in opened.generate(conversation, [SHELL], sampling)]
    finally:
        await opened.close()
    done = events.pop()
    assert isinstance(done, TurnDone)
    return events, done


async def failure(*replies: Reply, **settings: Any) -> ModelError:
    """The error that ends a turn which gets these replies."""
    async with FaultServer(*replies) as server:
        with pytest.raises(ModelError) as caught:
            await turn(server, **settings)
    return caught.value


def certified(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own making, which nobody else trusts."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def collect(opened: Model, events: list[Event]) -> None:
    """Adds the events of a turn one by one, so that those before an error are kept."""
    async for event in opened.generate(TASK, [], Sampling()):
        events.append(event)


def reasons(events: Sequence[Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, Retrying)]
