"""What `greenroom doctor --model` finds at servers of several characters."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.models.base import Model
from agent.models.doctor import local, server
from agent.models.doctor.findings import Examination, Finding
from agent.models.doctor.server import examine_server
from agent.models.extra import missing_packages
from agent.models.openai import OpenAIModel
from agent.models.settings import ModelSettings
from tests.agent.models import tiny
from tests.agent.models.asking import model
from tests.faults import characters
from tests.faults.characters import Ollama, answers, line
from tests.faults.server import FaultServer, Reply, answer, document, error, page


async def examined(
    at: FaultServer, name: str = "openai:m", **settings: Any
) -> tuple[Examination, dict[str, Finding]]:
    async with at:
        return await look(model(at, name, **{"retries": 1, "protocol": "chat", **settings}))


async def look(opened: Model) -> tuple[Examination, dict[str, Finding]]:
    assert isinstance(opened, OpenAIModel)
    try:
        made = await examine_server(opened, lambda _: None)
    finally:
        await opened.close()
    return made, {finding.name: finding for finding in made.findings}


def states(found: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.state for name, finding in found.items()}


async def test_a_vllm_with_everything_on_is_good_throughout() -> None:
    made, found = await examined(characters.vllm(), "openai:gpt-oss-20b")
    assert {found for name, found in states(found).items() if name != "abort"} == {"good"}
    assert (made.server, made.server_version, made.context_window) == ("vLLM", "0.33.0", 131_072)
    assert "2 calls in one turn" in found["tool calls"].found
    assert found["reasoning"].found.endswith("taken back in `reasoning`")
    assert found["metrics"].found.startswith("KV cache filled 25%, running 3, prefix cache 75%")
    assert "/v1/completions" in found["raw tokens"].found


async def test_the_requests_are_counted_and_few() -> None:
    at = characters.vllm()
    made, _ = await examined(at, "openai:gpt-oss-20b")
    assert made.requests == len(at.requests) + len(at.others)
    assert made.requests < 25
    limits = [body["max_tokens"] for body in (request.json for request in at.requests)]
    assert max(limits) <= 900


async def test_a_llamacpp_that_drops_reasoning_says_what_that_costs() -> None:
    made, found = await examined(characters.llamacpp(), "llamacpp:m")
    assert made.usable
    assert (found["reasoning"].state, found["context"].state) == ("note", "note")
    assert "dropped when it is sent back" in found["reasoning"].found
    assert "forgets" in found["reasoning"].costs
    assert found["context"].found == "16,384 tokens of the 131,072 that the model has"
    assert "-c" in found["context"].advice
    assert "/completion " in found["raw tokens"].found
    assert found["strict tools"].found.startswith("taken, and not held to")


async def test_reasoning_taken_back_in_another_field_is_said() -> None:
    _, found = await examined(characters.llamacpp(back="reasoning"), "llamacpp:m")
    assert "taken back in `reasoning` only" in found["reasoning"].found


async def test_tools_that_the_server_drops_are_seen_by_the_prompts_length() -> None:
    made, found = await examined(characters.llamacpp(drops_tools=True), "llamacpp:m")
    assert not made.usable
    assert found["tool calls"].found.startswith("the server drops the tools")
    assert "--jinja" in found["tool calls"].advice


async def test_a_server_without_tools_and_counts_can_be_used_and_costs() -> None:
    made, found = await examined(characters.without_tools())
    assert made.usable
    costs = {name for name, state in states(found).items() if state == "note"}
    assert costs >= {"streaming", "token counts", "tool calls"}
    assert "calls are written as text" in found["tool calls"].found
    assert states(found)["context"] == states(found)["reasoning"] == "untold"
    # Its times are those of a machine that did nothing.
    assert found["prefix cache"].state == "untold"


async def test_an_ollama_that_stays_at_4k_is_not_fit_and_says_what_to_do() -> None:
    made, found = await examined(Ollama(room=5000), "ollama:m")
    assert not made.usable
    assert found["context"].found == "4,096 tokens of the 131,072 that the model has"
    assert "--context-window" in found["context"].advice
    assert found["memory"].found.startswith("20% of the model lies in main memory")


def test_weights_with_a_small_window_are_not_fit(tmp_path: Path) -> None:
    folder = tiny.save(tmp_path / "m")
    for window, states_then in ((4096, "bad"), (16_384, "good")):
        tiny.edit_config(folder, max_position_embeddings=window)
        made = local.examine_weights(f"hf:{folder}", ModelSettings())
        [context] = [finding for finding in made.findings if finding.name == "context"]
        assert context.state == states_then
        assert made.usable == (states_then == "good")


async def test_an_lm_studio_that_has_not_loaded_the_model_says_how() -> None:
    entry = {"id": "m", "owned_by": "organization_owner", "max_context_length": 131_072}
    listed = document({"data": [entry]})
    at = FaultServer(answer(), routes={"/v1/models": listed, "/api/v0/models": listed})
    _, found = await examined(at, "lmstudio:m")
    assert "lms load" in found["context"].advice


async def test_an_ollama_with_room_is_asked_for_more() -> None:
    made, found = await examined(Ollama(), "ollama:m")
    assert made.context_window == 32_768
    assert found["context"].state == "good"


@pytest.mark.parametrize("after", range(0, 12, 3))
async def test_a_server_that_breaks_in_the_middle_leaves_what_was_found(after: int) -> None:
    at = characters.vllm()
    at.habits = replace(at.habits, breaks_after=after)
    made, found = await examined(at, "openai:gpt-oss-20b")
    assert not made.usable
    assert found["server"].state == "good"
    assert len(found) >= 12
    assert any("connection broke" in f.found or "no answer" in f.found for f in made.findings)


async def test_a_server_that_hangs_ends_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.2)
    made, found = await examined(FaultServer(Reply(["hang"])))
    assert found["streaming"].found.startswith("no answer within")
    assert made.findings[-1].name == "streaming"


async def test_a_refused_key_is_one_finding() -> None:
    made, found = await examined(FaultServer(error(401, "no key")))
    assert states(found) == {
        "server": "good",
        "model": "good",
        "context": "untold",
        "streaming": "bad",
    }
    assert "OPENAI_API_KEY" in found["streaming"].advice
    assert not made.usable
    barred = FaultServer(routes={"/v1/models": error(401, "no key")})
    _, found = await examined(barred)
    assert states(found) == {"server": "bad"}


async def test_a_gpt_oss_by_chat_only_is_told_how_to_be_served() -> None:
    for name, size in (("openai:m-gpt-oss", "20b"), ("openai:gpt-oss-120b", "120b")):
        _, found = await examined(characters.without_tools(), name)
        assert found["raw tokens"].state == "note"
        assert f"llama-server -hf ggml-org/gpt-oss-{size}-GGUF" in found["raw tokens"].advice


async def test_a_server_of_no_known_kind_is_not_called_openai() -> None:
    made, found = await examined(FaultServer(error(403, "no")))
    assert made.server == ""
    assert found["server"].found.startswith("a server of no known kind")
    assert "OpenAI" not in found["streaming"].found


async def test_a_wrong_name_is_one_finding() -> None:
    made, found = await examined(characters.vllm(), "vllm:gpt-oss-120b")
    assert states(found) == {"server": "good", "model": "bad"}
    assert "It has: gpt-oss-20b." in found["model"].advice
    assert not made.usable
    unknown = error(404, "The model `m` does not exist")
    _, found = await examined(FaultServer(unknown, models=["n"]))
    assert states(found)["model"] == "note"
    assert made.findings[-1].state == "bad"
    assert "abort" not in found


async def test_a_web_page_ends_the_examination() -> None:
    made, found = await examined(FaultServer(page()))
    assert made.findings[-1].found.startswith("http")
    assert "web page" in found["streaming"].found
    assert "abort" not in found


async def test_a_llamacpp_answers_to_any_name() -> None:
    _, found = await examined(characters.llamacpp(), "llamacpp:gpt-oss-20b")
    assert found["model"].found == "m is loaded, and answers to any name"


async def test_nobody_there_is_a_finding() -> None:
    async with FaultServer() as gone:
        pass
    made, found = await look(model(gone, protocol="chat"))
    assert states(found) == {"server": "bad"}
    assert "nothing answers" in found["server"].found
    assert not made.usable


async def test_a_dropped_model_answers_nothing() -> None:
    _, found = await examined(Ollama(answers(line())), "ollama:m")
    assert found["streaming"].state == "bad"


# Models in this process.


@pytest.mark.skipif(missing_packages() != [], reason="the extra `local` is not installed")
def test_weights_that_are_not_here_say_how_to_get_them() -> None:
    found = {
        finding.name: finding
        for finding in local.examine_weights("gpt-oss-20b", ModelSettings()).findings
    }
    assert "hf download openai/gpt-oss-20b" in found["weights"].advice
    assert found["context"].found == "131,072 tokens"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "missing_packages", lambda _=(): ["torch"])
    made = local.examine_weights("hf:gpt-oss-20b", ModelSettings())
    found = {finding.name: finding for finding in made.findings}
    assert "missing: torch" in found["packages"].found
    assert found["weights"].state == "untold"
    assert not made.usable


@pytest.mark.skipif(missing_packages() != [], reason="the extra `local` is not installed")
def test_weights_that_are_here_are_held_as_their_loading_decides(tmp_path: Path) -> None:
    folder = str(tiny.save(tmp_path))
    made = local.examine_weights(f"hf:{folder}", ModelSettings())
    found = {finding.name: finding for finding in made.findings}
    assert found["weights"].found == f"in {folder}"
    assert found["precision"].state == "good"
    refused = local.examine_weights(f"hf:{folder}", ModelSettings(precision="mxfp4"))
    assert {finding.name: finding for finding in refused.findings}["precision"].state == "bad"


def test_weights_that_would_not_load_are_not_fit(tmp_path: Path) -> None:
    def weights_of(folder: Path) -> Finding:
        made = local.examine_weights(f"hf:{folder}", ModelSettings())
        [found] = [finding for finding in made.findings if finding.name == "weights"]
        return found

    folder = tiny.save(tmp_path / "cut")
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    assert (weights_of(folder).state, "cut off" in weights_of(folder).found) == ("bad", True)
    folder = tiny.save(tmp_path / "mute")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "no tokenizer" in weights_of(folder).found
    assert "whole folder" in weights_of(folder).advice


def test_vllm_in_this_process_needs_packages_of_its_own() -> None:
    made = local.examine_weights("vllm-engine:openai/gpt-oss-20b", ModelSettings())
    assert "vllm" in made.findings[0].found
    assert ".[vllm]" in made.findings[0].advice


def test_the_embedded_model_is_said_to_be_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_embedded", lambda: Path("/x.gguf"))
    monkeypatch.setattr(local, "missing_packages", lambda _=(): [])
    made = local.examine_embedded()
    assert made.usable
    monkeypatch.setattr(local, "find_embedded", lambda: None)
    assert "greenroom models fetch embedded" in local.examine_embedded().findings[1].advice


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a{\n" * 300_000, "none at /metrics"),
        ("vllm:kv_cache_usage_perc 1e999\nvllm:num_requests_running nan\n", "none at /metrics"),
        ("vllm:num_requests_running -e5\nvllm:num_requests_waiting 2\n", "waiting 2"),
        ("vllm:num_requests_waiting{" + "a" * 9000 + "} 2\n", "none at /metrics"),
    ],
    ids=["open braces", "no numbers", "a bad number", "a long line"],
)
async def test_metrics_that_lie_are_left_out(text: str, told: str) -> None:
    server = characters.vllm()
    server.routes["/metrics"] = Reply([text.encode()], headers={}, whole=True)
    _, found = await examined(server, "openai:gpt-oss-20b")
    assert found["metrics"].found == told
