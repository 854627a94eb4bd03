import subprocess
import sys
from pathlib import Path

import pytest

from agent.models.base import ModelError
from agent.models.registry import FORMS, open_model
from agent.models.settings import ModelSettings
from sandbox.errors import UsageError


@pytest.mark.parametrize(
    ("name", "backend", "model", "address"),
    [
        ("ollama:gpt-oss:20b", "ollama", "gpt-oss:20b", "http://127.0.0.1:11434/v1"),
        ("vllm:openai/gpt-oss-20b", "vllm", "openai/gpt-oss-20b", "http://127.0.0.1:8000/v1"),
        ("llamacpp:x", "llamacpp", "x", "http://127.0.0.1:8080/v1"),
        ("lmstudio:x", "lmstudio", "x", "http://127.0.0.1:1234/v1"),
        ("mlx:x", "mlx", "x", "http://127.0.0.1:8080/v1"),
    ],
)
def test_a_server_by_name_is_at_its_usual_address(
    name: str, backend: str, model: str, address: str
) -> None:
    info = open_model(name, ModelSettings(), {}).info
    assert (info.backend, info.name, info.address, info.local) == (backend, model, address, True)


def test_an_address_given_beats_the_usual_one() -> None:
    settings = ModelSettings(base_url="http://192.0.2.7:9/v1")
    info = open_model("openai:m", settings, {"OPENAI_BASE_URL": "http://192.0.2.8/v1"}).info
    assert (info.address, info.local) == ("http://192.0.2.7:9/v1", False)


def test_openai_is_where_its_variable_says() -> None:
    environment = {"OPENAI_BASE_URL": "http://localhost:5000/v1"}
    info = open_model("openai:m", ModelSettings(), environment).info
    assert (info.address, info.local) == ("http://localhost:5000/v1", True)


def test_the_service_itself_needs_a_key_before_anything_is_sent() -> None:
    with pytest.raises(ModelError, match="OPENAI_API_KEY is not set"):
        open_model("openai:m", ModelSettings(), {})
    assert not open_model("openai:m", ModelSettings(), {"OPENAI_API_KEY": "k" * 20}).info.local


def test_a_model_that_a_local_server_passes_on_is_not_local() -> None:
    info = open_model("ollama:gpt-oss:120b-cloud", ModelSettings(), {}).info
    assert not info.local
    assert info.price is None


def test_a_script_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a:b.jsonl"
    path.write_text("{}")
    assert open_model(f"script:{path}", ModelSettings(), {}).info.name == str(path)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("olama:qwen3", "ollama:qwen3"),
        ("OpenAI:gpt", "openai:gpt"),
        ("gpt-4o", "openai:gpt-4o"),
        ("gpt-oss20b", "gpt-oss-20b"),
        ("gpt-oss:20b", "ollama:gpt-oss:20b"),
        ("llama3.1:8b-instruct-q4_K_M", "ollama:llama3.1:8b-instruct-q4_K_M"),
        ("embeded", "embedded"),
        ("Qwen/Qwen3-8B", "hf:Qwen/Qwen3-8B"),
        ("llama.cpp:x", "llamacpp:x"),
        ("scrpt:x", "script:x"),
    ],
)
def test_an_unknown_name_says_what_was_probably_meant(name: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_model(name, ModelSettings(), {})
    assert f"did you mean {meant!r}?" in caught.value.message
    assert all(form in caught.value.hint for form in FORMS)


@pytest.mark.parametrize("name", ["", ":", ":x", "zzzz:x"])
def test_a_name_that_means_nothing_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        open_model(name, ModelSettings(), {})


@pytest.mark.parametrize("prefix", ["openai:", "openai", "ollama: ", "script:", "hf:"])
def test_a_prefix_alone_is_refused(prefix: str) -> None:
    with pytest.raises(UsageError, match="no model named"):
        open_model(prefix, ModelSettings(), {})


def test_nothing_heavy_is_imported_before_a_model_needs_it() -> None:
    program = (
        "import sys, agent.models.registry, agent.models.discovery;"
        "print([m for m in ('httpx', 'tenacity', 'torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
