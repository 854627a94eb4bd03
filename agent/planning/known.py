"""Models that are known by name, so that they can be planned for before anything is downloaded.

Each has the fields of its own config.json that count; the tests compare the parameters that follow
with those that its publisher gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Known:
    """A model: `name` on the Hugging Face hub, `config`, and how servers call it.

    `parsers` are vLLM's flags for its tool calls and reasoning. `gguf` is the repository of its
    GGUF files, `awq` that of its 4-bit checkpoint, `ollama` its name there; empty where unknown.
    """

    name: str
    config: Mapping[str, Any] = field(repr=False)
    parsers: str = ""
    gguf: str = ""
    awq: str = ""
    ollama: str = ""

    @property
    def short(self) -> str:
        return self.name.rpartition("/")[2].lower().removesuffix("-instruct")


def _sizes(
    kind: str, layers: int, hidden: int, width: int, heads: tuple[int, int], more: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": width,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        **more,
    }


def _gpt_oss(size: str, layers: int, experts: int) -> Known:
    more = {
        "num_local_experts": experts,
        "num_experts_per_tok": 4,
        "head_dim": 64,
        "sliding_window": 128,
        "vocab_size": 201088,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
        "quantization_config": {"quant_method": "mxfp4"},
    }
    return Known(
        f"openai/gpt-oss-{size}",
        _sizes("gpt_oss", layers, 2880, 2880, (64, 8), more),
        "--enable-auto-tool-choice --tool-call-parser openai --reasoning-parser openai_gptoss",
        gguf=f"ggml-org/gpt-oss-{size}-GGUF",
        ollama=f"gpt-oss:{size}",
    )


_HERMES = "--enable-auto-tool-choice --tool-call-parser hermes"


def _coder(
    size: str, layers: int, hidden: int, width: int, heads: tuple[int, int], vocabulary: int
) -> Known:
    """Qwen2.5-Coder; the small ones tie the embedding to the head and have a smaller vocabulary."""
    name = f"Qwen/Qwen2.5-Coder-{size}-Instruct"
    more = {
        "vocab_size": vocabulary,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": vocabulary == 151936,
    }
    config = _sizes("qwen2", layers, hidden, width, heads, more)
    tag = f"qwen2.5-coder:{size.lower()}"
    return Known(name, config, _HERMES, f"{name}-GGUF", f"{name}-AWQ", tag)


def _qwen3(size: str, layers: int, hidden: int, width: int, heads: tuple[int, int]) -> Known:
    name = f"Qwen/Qwen3-{size}"
    more = {
        "head_dim": 128,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": False,
    }
    config = _sizes("qwen3", layers, hidden, width, heads, more)
    parsers = f"{_HERMES} --reasoning-parser qwen3"
    return Known(name, config, parsers, f"{name}-GGUF", f"{name}-AWQ", f"qwen3:{size.lower()}")


def _qwen3_coder(
    size: str, layers: int, hidden: int, heads: tuple[int, int], experts: int, width: int
) -> Known:
    more = {
        "head_dim": 128,
        "vocab_size": 151936,
        "max_position_embeddings": 262144,
        "tie_word_embeddings": False,
        "num_experts": experts,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": width,
    }
    name = f"Qwen/Qwen3-Coder-{size}-Instruct"
    return Known(
        name,
        _sizes("qwen3_moe", layers, hidden, 8 * width, heads, more),
        "--enable-auto-tool-choice --tool-call-parser qwen3_coder",
        gguf=f"unsloth/{name.rpartition('/')[2]}-GGUF",
        ollama=f"qwen3-coder:{size.partition('-')[0].lower()}",
    )


def _llama(name: str, layers: int, hidden: int, width: int, heads: int, tag: str) -> Known:
    more = {"vocab_size": 128256, "max_position_embeddings": 131072, "tie_word_embeddings": False}
    config = _sizes("llama", layers, hidden, width, (heads, 8), more)
    parsers = "--enable-auto-tool-choice --tool-call-parser llama3_json"
    return Known(f"meta-llama/{name}", config, parsers, ollama=tag)


_MISTRAL = "--enable-auto-tool-choice --tool-call-parser mistral"
_ALL = (
    _gpt_oss("20b", 24, 32),
    _gpt_oss("120b", 36, 128),
    _coder("0.5B", 24, 896, 4864, (14, 2), 151936),
    _coder("1.5B", 28, 1536, 8960, (12, 2), 151936),
    _coder("3B", 36, 2048, 11008, (16, 2), 151936),
    _coder("7B", 28, 3584, 18944, (28, 4), 152064),
    _coder("14B", 48, 5120, 13824, (40, 8), 152064),
    _coder("32B", 64, 5120, 27648, (40, 8), 152064),
    _qwen3("8B", 36, 4096, 12288, (32, 8)),
    _qwen3("14B", 40, 5120, 17408, (40, 8)),
    _qwen3("32B", 64, 5120, 25600, (64, 8)),
    _qwen3_coder("30B-A3B", 48, 2048, (32, 4), 128, 768),
    _qwen3_coder("480B-A35B", 62, 6144, (96, 8), 160, 2560),
    _llama("Llama-3.1-8B-Instruct", 32, 4096, 14336, 32, "llama3.1:8b"),
    _llama("Llama-3.3-70B-Instruct", 80, 8192, 28672, 64, "llama3.3:70b"),
    Known(
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
        _sizes(
            "mixtral",
            32,
            4096,
            14336,
            (32, 8),
            {
                "num_local_experts": 8,
                "num_experts_per_tok": 2,
                "vocab_size": 32000,
                "max_position_embeddings": 32768,
                "sliding_window": None,
                "tie_word_embeddings": False,
            },
        ),
        ollama="mixtral:8x7b",
    ),
    Known(
        "mistralai/Devstral-Small-2507",
        _sizes(
            "mistral",
            40,
            5120,
            32768,
            (32, 8),
            {
                "head_dim": 128,
                "vocab_size": 131072,
                "max_position_embeddings": 131072,
                "sliding_window": None,
                "tie_word_embeddings": False,
            },
        ),
        _MISTRAL,
        ollama="devstral:24b",
    ),
    Known(
        "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct",
        _sizes(
            "deepseek_v2",
            27,
            2048,
            10944,
            (16, 16),
            {
                "kv_lora_rank": 512,
                "q_lora_rank": None,
                "qk_rope_head_dim": 64,
                "qk_nope_head_dim": 128,
                "v_head_dim": 128,
                "n_routed_experts": 64,
                "num_experts_per_tok": 6,
                "n_shared_experts": 2,
                "moe_intermediate_size": 1408,
                "first_k_dense_replace": 1,
                "vocab_size": 102400,
                "max_position_embeddings": 163840,
                "tie_word_embeddings": False,
            },
        ),
        ollama="deepseek-coder-v2:16b",
    ),
    Known(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        _sizes(
            "llama",
            30,
            576,
            1536,
            (9, 3),
            {"vocab_size": 49152, "max_position_embeddings": 8192, "tie_word_embeddings": True},
        ),
        ollama="smollm2:135m",
    ),
)
#: By short name: gpt-oss-20b, qwen2.5-coder-7b ...
KNOWN: Mapping[str, Known] = {known.short: known for known in _ALL}
