import json
from pathlib import Path
from typing import Any

import pytest

from agent.models.kernels import check_repository
from agent.models.loading import load
from agent.models.precisions import Holding, choose, unpacked
from agent.models.settings import ModelSettings
from sandbox.errors import SetupError
from tests.agent.models import tiny

pytestmark = pytest.mark.model

GPT_OSS_20B: dict[str, Any] = {
    "model_type": "gpt_oss",
    "architectures": ["GptOssForCausalLM"],
    "num_hidden_layers": 24,
    "num_local_experts": 32,
    "num_experts_per_tok": 4,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "head_dim": 64,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 201088,
    "sliding_window": 128,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("weights"))


def held(folder: Path, wanted: str, **fields: Any) -> Holding:
    from transformers import AutoConfig

    if fields:
        (folder / "config.json").write_text(json.dumps(fields), "utf-8")
    return choose("the-model", folder, AutoConfig.from_pretrained(folder), wanted, "cpu")


def refusal(folder: Path, wanted: str, **fields: Any) -> str:
    with pytest.raises(SetupError) as caught:
        held(folder, wanted, **fields)
    return f"{caught.value.message} | {caught.value.hint}"


@pytest.mark.parametrize(("wanted", "type_"), [("bf16", "bfloat16"), ("fp16", "float16")])
def test_sixteen_bits_are_what_was_asked_for(folder: Path, wanted: str, type_: str) -> None:
    loaded = load(str(folder), ModelSettings(precision=wanted, device_map="cpu"))
    assert loaded.precision == str(loaded.model.dtype).removeprefix("torch.") == type_
    assert held(folder, wanted).size == (folder / "model.safetensors").stat().st_size // 2


@pytest.mark.parametrize("wanted", ["int8", "int4"])
def test_experts_that_would_stay_at_sixteen_bits_are_refused_with_the_sizes(
    tmp_path: Path, wanted: str
) -> None:
    said = refusal(tmp_path, wanted, **GPT_OSS_20B)
    assert f"cannot be run at {wanted}: bitsandbytes replaces nn.Linear only" in said
    assert "in place of 41.8 GB" in said
    assert "it is MXFP4, 13.8 GB" in said


@pytest.mark.parametrize("wanted", ["int8", "int4", "fp16"])
def test_what_is_quantised_is_not_quantised_again(tmp_path: Path, wanted: str) -> None:
    mxfp4 = {**GPT_OSS_20B, "quantization_config": {"quant_method": "mxfp4"}}
    said = refusal(tmp_path, wanted, **mxfp4)
    assert "the checkpoint is quantised (mxfp4)" in said
    assert "Leave precision at auto" in said


def test_mxfp4_is_unpacked_where_that_is_asked_for_and_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mxfp4 = {**GPT_OSS_20B, "quantization_config": {"quant_method": "mxfp4"}}
    monkeypatch.setattr("agent.models.precisions.free_memory", lambda _: 40 * 10**9)
    assert "needs 39.0 GiB for its weights alone" in refusal(tmp_path, "bf16", **mxfp4)
    monkeypatch.setattr("agent.models.precisions.free_memory", lambda _: 50 * 10**9)
    assert held(tmp_path, "bf16").quantization.dequantize


def test_mxfp4_cannot_be_made_here(folder: Path) -> None:
    assert "only a checkpoint that was made so can be run in MXFP4" in refusal(folder, "mxfp4")


def test_bitsandbytes_is_asked_for_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "it needs the package bitsandbytes" in refusal(folder, "int4")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    four, eight = held(folder, "int4"), held(folder, "int8")
    assert (four.quantization.load_in_4bit, four.name) == (True, "bnb-4bit")
    assert (eight.quantization.load_in_8bit, eight.name) == (True, "bnb-8bit")
    assert 0 < four.size < eight.size < held(folder, "bf16").size


def test_a_checkpoint_of_that_precision_is_taken_as_it_is(tmp_path: Path, folder: Path) -> None:
    fields = json.loads((folder / "config.json").read_text("utf-8"))
    made = held(tmp_path, "int4", **fields, quantization_config=AWQ)
    assert (made.number_type, made.quantization, made.name) == ("auto", None, "awq")
    assert "is quantised (awq)" in refusal(tmp_path, "int8")


def test_what_does_not_fit_names_the_precision_that_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    eight, sixteen = held(folder, "int8").size, held(folder, "bf16").size
    monkeypatch.setattr("agent.models.precisions.free_memory", lambda _: (eight + sixteen) // 2)
    assert "The nearest that fits: --precision int8" in refusal(folder, "bf16")


@pytest.mark.parametrize("device", ["cuda:9", "nonsense"])
def test_a_device_that_is_not_here_is_refused(folder: Path, device: str) -> None:
    with pytest.raises(SetupError, match="there is no such device here"):
        load(str(folder), ModelSettings(device_map=device))


def test_a_gpt_oss_in_gguf_is_sent_to_llama_cpp(tmp_path: Path) -> None:
    import gguf

    path = tmp_path / "gpt-oss-20b-mxfp4.gguf"
    writer = gguf.GGUFWriter(path, "gpt-oss")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(SetupError) as caught:
        load(str(path), ModelSettings())
    assert "transformers does not run that from GGUF" in caught.value.message
    assert f"llama-server -m {path}" in caught.value.hint


def test_mxfp4_needs_the_code_that_computes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("LOCAL_KERNELS", raising=False)
    monkeypatch.delenv("KERNELS_CACHE", raising=False)
    with pytest.raises(SetupError) as caught:
        check_repository("the-model")
    assert "--repo-type kernel --revision v1" in caught.value.hint
    (tmp_path / "kernels--kernels-community--gpt-oss-triton-kernels" / "refs").mkdir(parents=True)
    check_repository("the-model")


def test_a_gpu_without_the_kernels_package_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "kernels" not in unpacked("m").hint
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (8, 9))
    monkeypatch.setattr("transformers.utils.is_kernels_available", lambda: False)
    assert "--with 'kernels>=" in unpacked("m").hint


@pytest.mark.nightly
async def test_a_dense_model_in_gguf_runs() -> None:
    from agent.models.weights import find_embedded

    path = find_embedded()
    assert path
    with pytest.raises(SetupError, match="unpacked to 16 bits"):
        load(str(path), ModelSettings(precision="int4"))
    loaded = load(str(path), ModelSettings())
    assert (loaded.precision, loaded.context_window) == ("bfloat16", 8192)
    assert loaded.tokenizer.chat_template
