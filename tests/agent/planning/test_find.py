import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.planning.families import shape
from agent.planning.fields import Fields
from agent.planning.find import find
from agent.planning.machine import here, read_cards
from agent.planning.memory import weight_bytes
from agent.planning.precision import native_precision
from sandbox.errors import UsageError
from tests.agent.planning.tiny_configs import CONFIGS

LLAMA, EXPERTS = CONFIGS[0], next(each for each in CONFIGS if each["model_type"] == "mixtral")


def write(folder: Path, data: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "qwen2.5-coder-7b",
        "Qwen2.5-Coder-7B-Instruct",
        "Qwen/Qwen2.5-Coder-7B-Instruct",
        "hf:Qwen/Qwen2.5-Coder-7B-Instruct",
        "ollama:qwen2.5-coder:7b",
    ],
)
def test_a_known_model_by_each_of_its_names(name: str) -> None:
    assert find(name, {}).name == "qwen2.5-coder-7b"


def test_a_configuration_by_its_file_and_by_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "my model", LLAMA)
    by_file, by_folder = find(str(path), {}), find(str(path.parent), {})
    assert by_file.shape == by_folder.shape == shape(Fields(LLAMA, ""))
    assert by_file.name == by_folder.name == "my model"
    assert by_file.serve == by_folder.serve == str(path.parent)


def test_the_weights_beside_a_configuration_are_weighed(tmp_path: Path) -> None:
    write(tmp_path, LLAMA)
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    assert find(str(tmp_path), {}).on_disk == 1000


def test_a_model_in_the_hub_cache(tmp_path: Path) -> None:
    write(tmp_path / "models--some--model" / "snapshots" / "abc", LLAMA)
    found = find("some/model", {"HF_HUB_CACHE": str(tmp_path)})
    assert (found.name, found.serve) == ("some/model", "some/model")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt-os-20b", "did you mean 'gpt-oss-20b'"),
        ("nobody/nothing", "no model 'nobody/nothing' is known"),
    ],
)
def test_a_name_that_means_nothing(name: str, said: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said) as failed:
        find(name, {"HF_HUB_CACHE": str(tmp_path)})
    assert "gpt-oss-20b" in failed.value.hint or "config.json" in failed.value.hint


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "holds no JSON object"),
        (" " * (5 << 20), "too large"),
        ({}, "the field model_type is missing"),
        ({"model_type": "llava", "text_config": {}}, "'llava', which see images"),
        ({"model_type": "mamba"}, "'mamba' cannot be planned for"),
    ],
)
def test_a_file_that_is_no_configuration(data: Any, said: str, tmp_path: Path) -> None:
    path = write(tmp_path, data)
    with pytest.raises(UsageError, match=said) as failed:
        find(str(path), {})
    assert str(path) in failed.value.message
    assert failed.value.hint


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no configuration"):
        find(str(tmp_path), {})


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES |= st.lists(st.integers(-9, 9) | st.text(max_size=5), max_size=5)


@given(
    st.sampled_from(CONFIGS),
    st.dictionaries(st.sampled_from(sorted({key for each in CONFIGS for key in each})), VALUES),
)
def test_any_configuration_is_read_or_refused_in_words(
    config: dict[str, Any], changes: dict[str, Any]
) -> None:
    fields = Fields(config | changes, "config.json")
    try:
        found = shape(fields)
    except UsageError as error:
        assert error.message.startswith("config.json")
    else:
        assert found.parameters.total > 0
        assert found.layers == (config | changes)["num_hidden_layers"]


def bits(config: dict[str, Any], table: dict[str, Any]) -> float:
    """Bits for each parameter of the matrices and experts, as a quantisation says."""
    precision = native_precision(Fields(config | {"quantization_config": table}, "config.json"))
    parts = shape(Fields(config, "config.json")).parameters
    wide = weight_bytes(shape(Fields(config, "config.json")), precision).total * 8
    rest = parts.embedding + parts.head + parts.expert_biases + parts.routers + parts.other
    return (wide - 16 * rest) / (parts.linear + parts.experts)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 4 + 20 / 128),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True}, 4 + 20 / 32),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8 + 32 / 16384),
        ({"quant_method": "fp8"}, 8),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.5),
        (
            {
                "quant_method": "bitsandbytes",
                "load_in_4bit": True,
                "bnb_4bit_use_double_quant": True,
            },
            4.127,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"a": {"weights": {"num_bits": 4, "group_size": 128}}},
            },
            4.125,
        ),
    ],
)
def test_a_quantised_checkpoint_says_its_bits(table: dict[str, Any], expected: float) -> None:
    assert bits(LLAMA, table) == pytest.approx(expected, abs=0.001)


def test_experts_are_what_mxfp4_packs_and_what_bitsandbytes_leaves() -> None:
    parts = shape(Fields(EXPERTS, "")).parameters
    of_experts = parts.experts / (parts.linear + parts.experts)
    packed = bits(EXPERTS, {"quant_method": "mxfp4"})
    assert packed == pytest.approx(16 + (4.25 - 16) * of_experts, abs=0.01)
    left = bits(EXPERTS, {"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert left == pytest.approx(4.5 + (16 - 4.5) * of_experts, abs=0.01)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("awq", "quantization_config is 'awq', expected a table"),
        ({}, "the field quant_method is missing"),
        ({"quant_method": "hqq"}, "the quantisation 'hqq' cannot be planned for"),
        ({"quant_method": "awq"}, "the field bits or w_bit is missing"),
        ({"quant_method": "gptq", "bits": 5}, "bits is 5"),
        ({"quant_method": "bitsandbytes"}, "neither load_in_4bit nor load_in_8bit"),
        ({"quant_method": "compressed-tensors"}, "config_groups is missing"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"a": {}}},
            "a says nothing of weights",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "a": {"weights": {"num_bits": 4}},
                    "b": {"weights": {"num_bits": 8}},
                },
            },
            "several precisions",
        ),
    ],
)
def test_a_quantisation_that_makes_no_sense_is_named(table: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        native_precision(Fields(LLAMA | {"quantization_config": table}, "config.json"))


def test_the_cards_that_nvidia_smi_tells_of() -> None:
    said = "NVIDIA H100 80GB HBM3, 81559, 4096, 9.0\nNVIDIA H100 80GB HBM3, 81559, 3, 9.0\n"
    found = here(lambda: said)
    assert (found.name, found.count, found.capability) == ("NVIDIA H100 80GB HBM3", 2, (9, 0))
    assert found.memory == 81559 << 20
    assert found.usable(1.0) == (81559 - 4096) << 20


def test_cards_that_differ_count_as_the_smallest() -> None:
    found = here(lambda: "A, 24576, 0, 8.6\nB, 16384, 0, 7.5\n")
    assert (found.memory, found.count, found.capability) == (16384 << 20, 2, (7, 5))


def test_no_card_leaves_the_processor() -> None:
    assert here(lambda: "No devices were found").kind in {"cpu", "apple"}


@given(st.text(st.sampled_from("NVIDIA ,0123.9[]\n²x"), max_size=60))
def test_any_answer_of_nvidia_smi_is_read(text: str) -> None:
    assert all(card.memory > 0 for card in read_cards(text))
