"""The client against a server program that is not ours: `transformers serve` with the embedded
model's weights, on this machine and without any hub."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.conversation import (
    AssistantMessage,
    Conversation,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.base import Model, ModelError, Sampling, TextDelta, TurnDone
from agent.models.discovery import embedded_weights
from agent.models.doctor.server import examine_server
from agent.models.openai import OpenAIModel
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from agent.paths import cache_folder

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("fastapi", "uvicorn", "openai", "transformers"))),
        reason="`transformers serve` lacks its packages",
    ),
    pytest.mark.skipif(embedded_weights() is None, reason="the embedded weights are not here"),
]

HELLO: Conversation = (UserMessage("Say hello in one short sentence."),)
#: The server does not take GGUF files whose header names no architecture, so they are unpacked.
UNPACK = """
import sys
from pathlib import Path
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
file, target = Path(sys.argv[1]), sys.argv[2]
source = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
unpacked = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(
    **source, dtype=torch.bfloat16, quantization_config=unpacked
)
model.save_pretrained(target)
AutoTokenizer.from_pretrained(**source).save_pretrained(target)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the library reaches no hub, and finds an empty cache."""
    home = tmp_path_factory.mktemp("hub")
    (home / "hub").mkdir()
    return {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}


@pytest.fixture(scope="module")
def weights(environment: dict[str, str]) -> Path:
    """The embedded weights as a folder of safetensors; kept in the cache, as it takes a while."""
    folder = cache_folder() / "tests" / "smollm2-135m"
    if not folder.is_dir():
        part = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-c", UNPACK, str(embedded_weights()), str(part)]
        subprocess.run(command, env=environment, check=True, timeout=300)
        try:
            part.rename(folder)
        except OSError:  # another run of the tests was quicker
            shutil.rmtree(part)
    return folder


@pytest.fixture(scope="module")
def address(
    weights: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a running server that serves `weights` and nothing else."""
    program = str(Path(sys.executable).with_name("transformers"))
    options = ["--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--dtype", "float32"]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [program, "serve", str(weights), *options],
            env=environment,
            stdout=stream,
            stderr=stream,
        )
    try:
        yield f"http://127.0.0.1:{_port(server, log)}/v1"
    finally:
        server.kill()
        server.wait(10)


def _port(server: subprocess.Popen[bytes], log: Path, patience: float = 120) -> int:
    """The port that the server took, as its log tells."""
    end = time.monotonic() + patience
    while time.monotonic() < end and server.poll() is None:
        found = re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text("utf-8"))
        if found:
            return int(found[1])
        time.sleep(0.2)
    raise AssertionError(f"the server did not start in {patience} s:\n{log.read_text('utf-8')}")


def served(address: str, name: object) -> Model:
    return open_model(f"openai:{name}", ModelSettings(base_url=address, retries=1), {})


async def answer(model: Model, conversation: Conversation, limit: int) -> tuple[str, TurnDone]:
    """The streamed text of a turn, and its end."""
    text, done = "", None
    tool = ToolSpec("shell", "Runs a command.", {"type": "object", "properties": {}})
    sampling = Sampling(temperature=0.0, max_output_tokens=limit, seed=1)
    try:
        async for event in model.generate(conversation, [tool], sampling):
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, TurnDone):
                done = event
    finally:
        await model.close()
    assert done is not None
    return text, done


async def test_a_turn_is_streamed_and_counted(address: str, weights: Path) -> None:
    text, done = await answer(served(address, weights), HELLO, 6)
    assert text.strip()
    assert done.message.text == text
    assert done.finish == "length"
    assert "limit of output tokens" in done.problem
    assert done.usage.output_tokens == 6
    assert done.usage.input_tokens > 10
    assert not done.usage.estimated


async def test_a_history_with_a_malformed_call_is_accepted(address: str, weights: Path) -> None:
    history = (
        *HELLO,
        AssistantMessage(reasoning="hm", calls=(ToolCall("c1", "shell", '{"command": '),)),
        ToolMessage("c1", "shell", "arguments: not valid JSON"),
        UserMessage("Go on.", "reflection"),
    )
    _, done = await answer(served(address, weights), history, 2)
    assert done.usage.output_tokens == 2


async def test_a_model_that_is_not_served_is_named(address: str) -> None:
    with pytest.raises(ModelError, match="no model 'nope'"):
        await answer(served(address, "nope"), HELLO, 2)


async def test_an_aborted_turn_makes_room_for_the_next(address: str, weights: Path) -> None:
    model = served(address, weights)
    long = Sampling(temperature=0.0, max_output_tokens=2000)
    story = (UserMessage("Tell me a very long story about a forest."),)
    async with aclosing(model.generate(story, [], long)) as events:
        first = await anext(events)
    assert isinstance(first, TextDelta)
    await model.close()
    # The server computes one turn at a time: the next would wait for two thousand tokens.
    start = time.monotonic()
    await answer(served(address, weights), HELLO, 2)
    assert time.monotonic() - start < 30


@pytest.mark.nightly
async def test_the_doctor_finds_what_it_can_and_cannot(address: str, weights: Path) -> None:
    settings = ModelSettings(base_url=address, retries=1, protocol="chat")
    opened = open_model(f"openai:{weights}", settings, {})
    assert isinstance(opened, OpenAIModel)
    made = await examine_server(opened, lambda _: None)
    await opened.close()
    found = {finding.name: finding for finding in made.findings}
    assert found["streaming"].state == "good"
    assert found["token counts"].state == "good"
    assert found["tool calls"].state in {"note", "bad"}  # its template has no tools
    assert found["raw tokens"].state == "untold"
    assert made.requests < 25
