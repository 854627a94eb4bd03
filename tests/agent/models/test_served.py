"""Whether a server's model is asked in raw tokens or by chat completions."""

from typing import Any

import pytest

from agent.models.base import Model, ModelError, Sampling, TurnDone
from tests.agent.models.asking import TASK, model
from tests.faults.server import FaultServer, answer, document, error
from tests.faults.tokens import llamacpp_reply, serving, vllm_reply

FINAL = "<|channel|>final<|message|>Yes.<|return|>"


async def asked(
    server: FaultServer, name: str, **settings: Any
) -> tuple[str, str, str, list[str], Model]:
    """The path that one turn went to, what came of it, the tools, and what was said."""
    said: list[str] = []
    opened = model(server, name, **settings)
    await opened.prepare(said.append)
    events = [event async for event in opened.generate(TASK, [], Sampling())]
    await opened.close()
    done = events[-1]
    assert isinstance(done, TurnDone)
    return server.requests[-1].path, done.message.text, opened.toolset, said, opened


@pytest.mark.model
@pytest.mark.parametrize("prefix", ["vllm", "openai"])
async def test_a_gpt_oss_at_vllm_is_asked_in_its_own_tokens(prefix: str) -> None:
    async with serving("vllm", vllm_reply(FINAL)) as server:
        path, text, tools, said, opened = await asked(server, f"{prefix}:m")
    assert (path, text, tools, said) == ("/v1/completions", "Yes.", "gpt-oss", [])
    assert (opened.info.server, opened.info.server_version) == ("vllm", "0.33.0")
    assert opened.malformed_retries == 10


@pytest.mark.model
@pytest.mark.parametrize("prefix", ["llamacpp", "openai"])
async def test_a_gpt_oss_at_llamacpp_is_asked_in_its_own_tokens(prefix: str) -> None:
    async with serving("llamacpp", llamacpp_reply(FINAL)) as server:
        path, text, tools, said, opened = await asked(server, f"{prefix}:m")
    assert (path, text, tools, said) == ("/completion", "Yes.", "gpt-oss", [])
    assert (opened.info.context_window, opened.info.protocol) == (4096, "raw")


@pytest.mark.model
async def test_the_tokens_of_a_prompt_are_known_before_it_is_sent() -> None:
    async with serving("vllm", vllm_reply(FINAL)) as server:
        opened = model(server, "vllm:m")
        await opened.prepare()
        count = opened.count(TASK, [])
        async for _ in opened.generate(TASK, [], Sampling()):
            pass
        await opened.close()
    assert count == len(server.requests[-1].json["prompt"])


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
async def test_another_model_is_asked_by_chat_whatever_it_is_called(kind: str) -> None:
    async with serving(kind, answer("Yes."), tokens=[27, 91]) as server:
        path, text, tools, said, opened = await asked(server, f"{kind}:m")
    assert (path, text, tools, said) == ("/v1/chat/completions", "Yes.", "generic", [])
    assert opened.info.protocol == "chat"


async def test_a_server_without_raw_tokens_is_asked_by_chat_and_the_cost_is_said() -> None:
    async with FaultServer(answer("Yes."), models=["gpt-oss:20b"]) as server:
        path, _, tools, [said], _ = await asked(server, "lmstudio:gpt-oss:20b")
    assert (path, tools) == ("/v1/chat/completions", "generic")
    assert said.startswith("gpt-oss:20b is asked by chat completions: ")


async def test_chat_can_be_wanted_and_then_nothing_is_asked_or_said() -> None:
    async with serving("vllm", answer("Yes.")) as server:
        path, _, _, said, _ = await asked(server, "vllm:m", protocol="chat")
        assert not [request for request in server.others if request.path == "/tokenize"]
    assert (path, said) == ("/v1/chat/completions", [])


async def test_raw_that_cannot_be_had_is_an_error() -> None:
    async with serving("vllm", answer("Yes."), tokens=[27, 91]) as server:
        with pytest.raises(ModelError, match="takes no raw tokens for m") as caught:
            await asked(server, "vllm:m", protocol="raw")
    assert "protocol" in caught.value.hint


@pytest.mark.parametrize("reply", [error(500), error(403), document([1]), document({})])
async def test_a_tokenizer_that_does_not_answer_means_chat(reply: Any) -> None:
    async with serving("vllm", answer("Yes."), **{"/tokenize": reply}) as server:
        path, *_ = await asked(server, "vllm:m")
    assert path == "/v1/chat/completions"


@pytest.mark.model
async def test_a_vllm_that_gives_no_token_ids_is_said() -> None:
    old = {"/version": document({"version": "0.10.1.1"})}
    async with serving("vllm", vllm_reply(FINAL, ids=False), **old) as server:
        path, text, _, [said], _ = await asked(server, "vllm:m")
    assert (path, text) == ("/v1/completions", "Yes.")
    assert "gives no token ids" in said


async def test_a_turn_before_any_preparation_chooses_as_well() -> None:
    async with serving("vllm", answer("Yes."), tokens=[27, 91]) as server:
        opened = model(server, "vllm:m")
        events = [event async for event in opened.generate(TASK, [], Sampling())]
        await opened.close()
    assert isinstance(events[-1], TurnDone)
    assert opened.info.server == "vllm"
