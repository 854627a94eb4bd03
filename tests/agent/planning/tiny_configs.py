"""Small configurations of every architecture that can be planned for, odd sizes on purpose."""

from typing import Any

_SIZES = {"hidden_size": 48, "vocab_size": 131, "num_hidden_layers": 4, "intermediate_size": 80}
_HEADS = {"num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 512}
_PLAIN = _SIZES | _HEADS
_DEEPSEEK = {
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_shared_experts": 2,
    "moe_intermediate_size": 20,
    "first_k_dense_replace": 1,
    "n_group": 2,
    "topk_group": 1,
}
_LATENT = {
    "kv_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12,
    "v_head_dim": 10,
    "num_key_value_heads": 6,
}
_EXPERTS = {"num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 20}
_WINDOW = {"use_sliding_window": True, "sliding_window": 16}

CONFIGS: list[dict[str, Any]] = [
    {"model_type": kind, **_PLAIN, **more}
    for kind, more in [
        ("llama", {}),
        ("llama", {"head_dim": 16, "attention_bias": True, "mlp_bias": True}),
        ("llama", {"tie_word_embeddings": True}),
        ("mistral", {"sliding_window": None}),
        ("mistral", {"sliding_window": 16, "head_dim": 12}),
        ("ministral", {"sliding_window": 16, "head_dim": 8}),
        (
            "ministral",
            {
                "sliding_window": 16,
                "head_dim": 8,
                "layer_types": ["full_attention", "sliding_attention"] * 2,
            },
        ),
        ("mixtral", {"num_local_experts": 6, "num_experts_per_tok": 2, "sliding_window": None}),
        ("phi3", {"sliding_window": 16, "pad_token_id": 0}),
        ("qwen2", {}),
        ("qwen2", {**_WINDOW, "max_window_layers": 3, "tie_word_embeddings": True}),
        ("qwen3", {"head_dim": 10}),
        ("qwen3", {"attention_bias": True}),
        ("qwen2_moe", {**_EXPERTS, "shared_expert_intermediate_size": 28}),
        (
            "qwen2_moe",
            {
                **_EXPERTS,
                **_WINDOW,
                "shared_expert_intermediate_size": 28,
                "decoder_sparse_step": 2,
                "qkv_bias": False,
            },
        ),
        ("qwen3_moe", {**_EXPERTS, "head_dim": 10, "mlp_only_layers": [1]}),
        ("qwen3_moe", {**_EXPERTS, **_WINDOW, "attention_bias": True}),
        ("smollm3", {"pad_token_id": 0}),
        (
            "smollm3",
            {
                **_WINDOW,
                "pad_token_id": 0,
                "tie_word_embeddings": False,
                "layer_types": ["full_attention", "sliding_attention"] * 2,
            },
        ),
        ("starcoder2", {}),
        ("starcoder2", {"use_bias": False, "sliding_window": 16, "tie_word_embeddings": False}),
        ("seed_oss", {"head_dim": 10}),
        ("seed_oss", {"attention_bias": False, "attention_out_bias": True, "mlp_bias": True}),
        ("glm4_moe", {**_DEEPSEEK, "head_dim": 16, "attention_bias": True}),
        ("glm4_moe", {**_DEEPSEEK, "use_qk_norm": True}),
        ("gpt_oss", {"num_local_experts": 8, "num_experts_per_tok": 3, "sliding_window": 16}),
        (
            "gpt_oss",
            {
                "num_local_experts": 8,
                "num_experts_per_tok": 3,
                "sliding_window": 16,
                "attention_bias": False,
                "layer_types": ["full_attention"] * 3 + ["sliding_attention"],
            },
        ),
        ("deepseek_v2", {**_DEEPSEEK, **_LATENT, "q_lora_rank": None, "mlp_bias": True}),
        ("deepseek_v2", {**_DEEPSEEK, **_LATENT, "q_lora_rank": 18, "attention_bias": True}),
        ("deepseek_v3", {**_DEEPSEEK, **_LATENT, "q_lora_rank": 18}),
        ("deepseek_v3", {**_DEEPSEEK, **_LATENT, "q_lora_rank": None}),
    ]
]


def name(config: dict[str, Any]) -> str:
    more = [key for key in config if key not in _PLAIN and key != "model_type"]
    return "-".join([config["model_type"], *more[:2]])
