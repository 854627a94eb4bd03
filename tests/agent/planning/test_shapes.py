"""The counts of parameters and of cached numbers, against the real classes."""

from typing import Any

import pytest

from agent.planning.families import FAMILIES, shape
from agent.planning.fields import Fields
from agent.planning.memory import cache_bytes
from sandbox.errors import UsageError
from tests.agent.planning.tiny_configs import CONFIGS, name

pytest.importorskip("transformers")


def _real_config(config: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    kind = config["model_type"]
    rest = {key: value for key, value in config.items() if key != "model_type"}
    return AutoConfig.for_model(kind, **rest)


def test_every_family_has_a_small_configuration() -> None:
    assert {config["model_type"] for config in CONFIGS} == set(FAMILIES)


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_parameters_are_those_of_the_real_class(config: dict[str, Any]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(_real_config(config))
    counted = shape(Fields(config, "config.json")).parameters
    assert counted.total == sum(part.numel() for part in model.parameters())
    experts = [part for key, part in model.named_parameters() if ".experts." in key]
    assert counted.experts + counted.expert_biases == sum(part.numel() for part in experts)


@pytest.mark.parametrize("tokens", [9, 15, 40])
@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_the_cache_takes_what_a_real_one_takes(config: dict[str, Any], tokens: int) -> None:
    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    torch.manual_seed(1)
    real = _real_config(config)
    model = AutoModelForCausalLM.from_config(real, attn_implementation="eager").eval()
    cache = DynamicCache(config=real)
    with torch.no_grad():
        model(torch.arange(tokens)[None], past_key_values=cache, use_cache=True)
    parts = [part for layer in cache.layers for part in (layer.keys, layer.values)]
    taken = sum(part.numel() * part.element_size() for part in parts)
    assert cache_bytes(shape(Fields(config, "config.json")), tokens, 4) == taken


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_a_field_that_is_missing_is_named(config: dict[str, Any]) -> None:
    for field in ("hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads"):
        lacking = {key: value for key, value in config.items() if key != field}
        with pytest.raises(UsageError, match=f"config.json: the field {field} is missing"):
            shape(Fields(lacking, "config.json"))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hidden_size", "2880", "hidden_size is '2880', expected a whole number"),
        ("hidden_size", 0, "hidden_size is 0"),
        ("hidden_size", True, "hidden_size is True"),
        ("hidden_size", 10**20, "hidden_size is 1000"),
        ("num_hidden_layers", 10**6, "at most 1024"),
        ("num_key_value_heads", 4, "6 attention heads cannot share 4 key-value heads"),
        ("tie_word_embeddings", "no", "tie_word_embeddings is 'no', expected true or false"),
        ("layer_types", ["sliding_attention"], "layer_types has 1 entries for 4 layers"),
        ("layer_types", ["linear_attention"] * 4, "'linear_attention' cannot be planned for"),
        ("layer_types", "full", "layer_types is 'full', expected a list"),
        ("sliding_window", None, "the field sliding_window is missing"),
        ("num_local_experts", None, "num_local_experts or num_experts is missing"),
        ("model_type", "mamba2", "models of the type 'mamba2' cannot be planned for"),
        ("model_type", None, "the field model_type is missing"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(field: str, value: Any, said: str) -> None:
    config = next(config for config in CONFIGS if config["model_type"] == "gpt_oss")
    with pytest.raises(UsageError) as failed:
        shape(Fields(config | {field: value}, "config.json"))
    assert said in failed.value.message
    assert failed.value.hint


@pytest.mark.parametrize(
    ("field", "value"), [("moe_layer_freq", 2), ("kv_lora_rank", None), ("n_shared_experts", None)]
)
def test_what_latent_attention_or_its_experts_lack_is_named(field: str, value: Any) -> None:
    config = next(config for config in CONFIGS if config["model_type"] == "deepseek_v3")
    with pytest.raises(UsageError, match=field):
        shape(Fields(config | {field: value}, "config.json"))
    without = {key: value for key, value in config.items() if key != "q_lora_rank"}
    with pytest.raises(UsageError, match="q_lora_rank is missing"):
        shape(Fields(without, "config.json"))
