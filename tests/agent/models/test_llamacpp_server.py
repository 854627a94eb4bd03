"""The client against llama.cpp, by the server of llama-cpp-python, which is built for it.

That takes half an hour on a small machine, so the environment is kept in the cache.
GREENROOM_TEST_LLAMACPP names a Python that has the server already.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.conversation import (
    AssistantMessage,
    Conversation,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from agent.models.base import ContextOverflow, Event, ModelError, Sampling, TextDelta, TurnDone
from agent.models.discovery import embedded_weights
from agent.models.doctor.server import examine_server
from agent.models.openai import OpenAIModel
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from agent.paths import cache_folder
from tests.agent.models.asking import SHELL

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.model,
    pytest.mark.skipif(embedded_weights() is None, reason="the embedded weights are not here"),
]

HELLO: Conversation = (
    SystemMessage("You are a helpful assistant."),
    UserMessage("Say hello in one short sentence."),
)
WINDOW = 1024


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python that has the server."""
    if given := os.environ.get("GREENROOM_TEST_LLAMACPP"):
        return Path(given)
    folder = cache_folder() / "tests" / "llamacpp"
    made = folder / "bin" / "python"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = ["cmake", "ninja", "llama-cpp-python[server]"]
        command = [str(made), "-m", "pip", "install", "--quiet", *wanted]
        subprocess.run(command, check=True, timeout=3600)
        (folder / "whole").touch()
    return made


@pytest.fixture(scope="module")
def address(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python), "-m", "llama_cpp.server", "--model", str(embedded_weights())]
    command += ["--model_alias", "smol", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--n_ctx", str(WINDOW), "--n_threads", "2"]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        _wait(f"http://127.0.0.1:{port}/v1/models", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait(10)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"the server did not start:\n{log.read_text('utf-8')}")


def served(address: str, name: str = "smol", **more: bool) -> OpenAIModel:
    settings = ModelSettings(base_url=address, retries=1, protocol="chat", **more)
    opened = open_model(f"llamacpp:{name}", settings, {})
    assert isinstance(opened, OpenAIModel)
    return opened


async def events_of(
    model: OpenAIModel, conversation: Conversation, limit: int
) -> tuple[Sequence[Event], TurnDone]:
    sampling = Sampling(temperature=0.0, max_output_tokens=limit, seed=1)
    try:
        events = [e async for e in model.generate(conversation, [SHELL], sampling)]
    finally:
        await model.close()
    done = events.pop()
    assert isinstance(done, TurnDone)
    return events, done


async def test_a_turn_is_streamed_and_counted(address: str) -> None:
    events, done = await events_of(served(address), HELLO, 8)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert text.strip()
    assert done.message.text == text
    assert len(events) > 1
    # It counts nothing in a stream.
    assert done.usage.estimated
    assert done.usage.output_tokens in range(1, 20)


async def test_tools_are_explained_and_calls_read_in_text(address: str) -> None:
    asked = (*HELLO[:1], UserMessage('Run "ls" with the tool shell.'))
    _, done = await events_of(served(address, written_tools=True), asked, 48)
    assert done.message.text or done.message.calls
    assert not done.problem or "limit of output tokens" in done.problem


async def test_a_history_with_a_malformed_call_is_accepted(address: str) -> None:
    history = (
        *HELLO,
        AssistantMessage(reasoning="hm", calls=(ToolCall("c1", "shell", '{"command": '),)),
        ToolMessage("c1", "shell", "arguments: not valid JSON"),
        UserMessage("Go on.", "reflection"),
    )
    for written in (False, True):
        _, done = await events_of(served(address, written_tools=written), history, 2)
        assert done.usage.output_tokens


async def test_a_prompt_that_is_too_long_is_an_overflow(address: str) -> None:
    long = (*HELLO[:1], UserMessage("word " * 3 * WINDOW))
    with pytest.raises(ContextOverflow):
        await events_of(served(address), long, 4)


async def test_nothing_is_asked_of_a_route_that_is_not_there(address: str) -> None:
    with pytest.raises(ModelError):
        await events_of(served(address.replace("/v1", "/nowhere")), HELLO, 2)


async def test_the_doctor_says_that_tools_are_dropped(address: str) -> None:
    opened = served(address)
    made = await examine_server(opened, lambda _: None)
    await opened.close()
    found = {finding.name: finding for finding in made.findings}
    assert found["streaming"].state == "good"
    assert found["tool calls"].state == "bad"
    assert "--tool-calls text" in found["tool calls"].advice
