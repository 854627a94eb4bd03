import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agent.models import discovery
from agent.models.discovery import CachedModel, Found, FoundServer, cached_models, hub_cache
from agent.models.servers import PROFILES
from agent.models.settings import ModelSettings
from tests.faults.server import FaultServer, Reply, document, error, in_thread, page


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mapping[str, str]:
    """An environment without weights, on a machine where no usual port answers."""
    nobody = {
        name: replace(profile, address="http://127.0.0.1:9/v1") if name != "openai" else profile
        for name, profile in PROFILES.items()
    }
    monkeypatch.setattr(discovery, "PROFILES", nobody)
    return {"HF_HUB_CACHE": str(tmp_path / "hub")}


def weights(cache: Path, name: str, architecture: str = "LlamaForCausalLM") -> Path:
    """Cached weights with one snapshot, as the Hugging Face library lays them out."""
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc123")
    (snapshot / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    (snapshot / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ x }}"}))
    (snapshot / "model.safetensors").write_bytes(b"x" * 100)
    return snapshot


# Servers.


async def test_a_local_server_is_found_with_its_models(
    nothing_here: Mapping[str, str],
) -> None:
    models = ["gpt-oss:20b", "nomic-embed-text"]
    async with FaultServer(models=models) as server:
        environment = {**nothing_here, "OLLAMA_HOST": f"127.0.0.1:{server.port}"}
        found = await discovery.discover(environment)
    assert found.servers == (FoundServer("ollama", server.base_url, ("gpt-oss:20b",)),)
    assert found.choice() == "ollama:gpt-oss:20b"


async def test_nothing_here_is_found_within_a_second(nothing_here: Mapping[str, str]) -> None:
    start = time.monotonic()
    found = await discovery.discover(nothing_here)
    assert (found.servers, found.cached, found.choice()) == ((), (), None)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    "listed",
    [
        page(),
        document([1, 2]),
        document({"data": []}),
        document({"data": [{"name": "no id"}]}),
        Reply([b"junk"], whole=True),
        Reply([5.0]),
        Reply(["close"], raw=True),
    ],
)
async def test_whatever_else_listens_there_is_passed_over(
    nothing_here: Mapping[str, str], listed: Reply
) -> None:
    async with FaultServer(routes={"/v1/models": listed}) as server:
        environment = {**nothing_here, "OLLAMA_HOST": f"127.0.0.1:{server.port}"}
        start = time.monotonic()
        assert (await discovery.discover(environment)).servers == ()
        assert time.monotonic() - start < 3


async def test_nobody_beyond_this_machine_is_asked(
    nothing_here: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def note(_profile: object, endpoint: object, _headers: object) -> None:
        asked.append(endpoint.base)  # type: ignore[attr-defined]

    monkeypatch.setattr(discovery, "_ask", note)
    away = {"OLLAMA_HOST": "box.test", "OPENAI_BASE_URL": "https://x.test/v1"}
    await discovery.discover({**nothing_here, **away})
    assert asked == ["http://127.0.0.1:9/v1"]


async def test_a_configured_address_is_asked_with_the_key_and_no_other() -> None:
    async with FaultServer(models=["big"]) as server:
        settings = ModelSettings(base_url=server.base_url)
        found = await discovery.discover({"OPENAI_API_KEY": "k" * 20}, settings)
    assert found.servers == (FoundServer("openai", server.base_url, ("big",)),)
    assert found.key_variable == "OPENAI_API_KEY"
    assert "k" * 20 not in repr(found)
    assert server.others[0].headers["authorization"] == f"Bearer {'k' * 20}"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (error(401, "no"), "wants a key"),
        (error(500, "out of order"), "out of order"),
        (page(), "answers with a web page"),
    ],
)
async def test_what_is_wrong_with_a_configured_address_is_said(reply: Reply, said: str) -> None:
    async with FaultServer(routes={"/v1/models": reply}) as server:
        found = await discovery.discover({}, ModelSettings(base_url=server.base_url))
    [one] = found.servers
    assert said in one.problem
    assert (one.models, found.choice()) == ((), None)


async def test_a_server_here_that_wants_a_key_is_shown(nothing_here: Mapping[str, str]) -> None:
    async with FaultServer(routes={"/v1/models": error(401, "no")}) as server:
        environment = {**nothing_here, "OLLAMA_HOST": f"127.0.0.1:{server.port}"}
        [one] = (await discovery.discover(environment)).servers
    assert one.profile == "ollama"
    assert "--api-key-variable" in one.problem


@pytest.mark.parametrize(
    ("owner", "profile"), [("llamacpp", "llamacpp"), ("someone", "mlx"), (7, "mlx")]
)
async def test_servers_that_share_a_port_are_told_apart(
    nothing_here: Mapping[str, str], owner: object, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = document({"data": [{"id": "m", "owned_by": owner}]})
    async with FaultServer(routes={"/v1/models": listed}) as server:
        shared = {
            name: replace(PROFILES[name], address=server.base_url) for name in ("llamacpp", "mlx")
        }
        monkeypatch.setattr(discovery, "PROFILES", shared)
        found = await discovery.discover(nothing_here)
    assert [one.profile for one in found.servers] == [profile]


def test_the_command_shows_a_server_on_this_machine_and_would_use_it(tmp_path: Path) -> None:
    with in_thread(FaultServer(models=["gpt-oss:20b"])) as server:
        done = subprocess.run(
            [Path(sys.executable).with_name("greenroom"), "models", "--json"],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "OLLAMA_HOST": f"127.0.0.1:{server.port}",
            },
            capture_output=True,
            check=True,
            timeout=60,
        )
    shown = json.loads(done.stdout)
    [ollama] = [one for one in shown["servers"] if one["profile"] == "ollama"]
    assert (ollama["address"], ollama["models"]) == (server.base_url, ["gpt-oss:20b"])
    assert shown["default"] == "ollama:gpt-oss:20b"


# Weights.


def test_whole_weights_that_can_chat_are_found(tmp_path: Path) -> None:
    snapshot = weights(tmp_path, "org/some--model")
    assert cached_models(tmp_path) == [
        CachedModel("org/some--model", "abc123", snapshot, 100, "LlamaForCausalLM")
    ]


def test_weights_in_parts_count_when_every_part_is_there(tmp_path: Path) -> None:
    snapshot = weights(tmp_path, "org/m")
    (snapshot / "model.safetensors").unlink()
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    (snapshot / "one.safetensors").write_bytes(b"1")
    assert cached_models(tmp_path) == []
    (snapshot / "two.safetensors").symlink_to(tmp_path / "blob")
    assert cached_models(tmp_path) == []
    (tmp_path / "blob").write_bytes(b"22")
    assert [model.size for model in cached_models(tmp_path)] == [3]


def test_what_cannot_chat_is_passed_over(tmp_path: Path) -> None:
    weights(tmp_path, "org/encoder", "BertModel")
    (weights(tmp_path, "org/base") / "tokenizer_config.json").unlink()
    (weights(tmp_path, "org/odd") / "config.json").write_text("[]")
    (tmp_path / "models--org--empty").mkdir()
    (tmp_path / "models--org--junk" / "snapshots").mkdir(parents=True)
    assert cached_models(tmp_path) == []


def test_a_cache_without_a_reference_has_its_newest_snapshot(tmp_path: Path) -> None:
    snapshot = weights(tmp_path, "org/m")
    (snapshot.parents[1] / "refs" / "main").unlink()
    assert len(cached_models(tmp_path)) == 1


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, str(Path("~/.cache/huggingface/hub").expanduser())),
    ],
)
def test_the_cache_is_where_the_library_has_it(environment: dict[str, str], folder: str) -> None:
    assert str(hub_cache(environment)) == folder


# The choice.


def test_a_server_is_chosen_before_weights_and_gpt_oss_before_others(tmp_path: Path) -> None:
    cached = CachedModel("openai/gpt-oss-20b", "r", tmp_path, 1, "GptOssForCausalLM")
    small = FoundServer("ollama", "a", ("qwen3", "llama"))
    big = FoundServer("vllm", "b", ("openai/gpt-oss-20b",))
    assert Found((small, big), (cached,)).choice() == "vllm:openai/gpt-oss-20b"
    assert Found((small,), (cached,), local_packages=True).choice() == "ollama:qwen3"
    assert Found((), (cached,), local_packages=True).choice() == "hf:openai/gpt-oss-20b"
    assert Found((), (cached,)).choice() is None


def test_the_embedded_model_and_a_paid_service_are_never_chosen(tmp_path: Path) -> None:
    found = Found(embedded=tmp_path, local_packages=True, key_variable="OPENAI_API_KEY")
    assert found.choice() is None


@pytest.mark.model
def test_the_embedded_weights_are_found_without_their_package_being_imported() -> None:
    path = discovery.embedded_weights()
    assert path is not None
    assert path.suffix == ".gguf"
