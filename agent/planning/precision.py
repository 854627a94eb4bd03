"""At which number of bits weights are held, and what a checkpoint says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.planning.fields import Fields
from agent.planning.shapes import Shape

#: A server that can run it: `vllm`, `llama-server`, `ollama`.
Server = str


@dataclass(frozen=True)
class Precision:
    """Bits per parameter of each kind; norms, biases and routers always have 16.

    `capability` is the least compute capability of a CUDA GPU that can run it. `servers` have a
    ready way to it, the best first. `advised`: it may be chosen without being asked for.
    """

    name: str
    linear: float
    experts: float
    embedding: float = 16
    head: float = 16
    capability: tuple[int, int] = (0, 0)
    servers: tuple[Server, ...] = ("vllm",)
    advised: bool = True
    note: str = ""


#: Below compute capability 8.0 the other 16-bit format stands in (vLLM: --dtype half).
BF16 = Precision("bf16", 16, 16, servers=("vllm", "llama-server"))
#: E4M3 with a scale per matrix or block (vLLM's `--quantization fp8`); 8.9 computes in it, 8.0 and
#: later only store it.
FP8 = Precision("fp8", 8, 8, capability=(8, 0), servers=("vllm",))
#: Whole numbers of 8 bits everywhere but in embedding and head (gpt-oss.md: 22.1 and 118.0 GB).
INT8 = Precision(
    "int8", 8, 8, capability=(7, 5), advised=False, note="needs a checkpoint made for it (GPTQ)"
)
#: 4 bits and half a bit for scales (gpt-oss.md: 13.4 and 67.4 GB).
INT4 = Precision(
    "int4", 4.5, 4.5, capability=(7, 5), note="needs a checkpoint made for it (AWQ, GPTQ)"
)
#: OCP microscaling: 4 bits and one 8-bit scale for 32 numbers; experts only (gpt-oss model card).
MXFP4 = Precision(
    "mxfp4",
    16,
    4.25,
    capability=(7, 5),
    servers=("vllm", "llama-server", "ollama"),
    note="as shipped; on CUDA it needs compute capability 7.5 or later, and triton",
)
#: llama.cpp's blocks of 32: 34 bytes each (ggml-common.h: block_q8_0). Embedding and head, too.
Q8_0 = Precision("q8_0", 8.5, 8.5, 8.5, 8.5, servers=("llama-server",), note="GGUF")
#: llama.cpp's mixture: most matrices q4_K (4.5 bits), some q6_K (6.5625), as is the head; 4.85 on
#: average as published files measure (Qwen2.5-Coder 7B: 4.68 GB; 32B: 19.85 GB).
Q4_K_M = Precision(
    "q4_k_m", 4.85, 4.85, 4.5, 6.5625, servers=("llama-server", "ollama"), note="GGUF"
)
#: The experts as shipped, all else in q8_0: the files of ggml-org (12.1 and 63.4 GB).
MXFP4_GGUF = Precision("mxfp4-gguf", 8.5, 4.25, 8.5, 8.5, servers=("llama-server",), note="GGUF")
#: What `BitsAndBytesConfig(load_in_4bit=True)` gives on an unpacked copy: 4 bits and a 32-bit scale
#: for 64 numbers, and only in `nn.Linear`, which fused experts are not (gpt-oss.md).
BNB4 = Precision(
    "bnb-4bit",
    4.5,
    16,
    capability=(7, 5),
    servers=(),
    advised=False,
    note="bitsandbytes replaces nn.Linear only; the experts stay at 16 bits",
)


def offered(shape: Shape, native: Precision) -> Sequence[Precision]:
    """The precisions that a model may be run at: its own first, then others by size."""
    if native.name == "mxfp4" and shape.model_type == "gpt_oss":
        unpacked = replace(
            BF16, advised=False, servers=(), note="unpacked: three times the memory, no gain"
        )
        int4 = replace(INT4, advised=False)
        return [native, MXFP4_GGUF, unpacked, INT8, int4, BNB4]
    if native.name != "bf16":
        original = replace(BF16, advised=False, servers=(), note="the model that it was made of")
        return [native, original, Q8_0, Q4_K_M]
    rest = [native, FP8, Q8_0, INT8, INT4, Q4_K_M]
    return [*rest, BNB4] if shape.experts else rest


def native_precision(fields: Fields) -> Precision:
    """How the checkpoint that a config.json belongs to holds its weights, by its
    `quantization_config`. Raises UsageError for a method that is not known.

    Bits include scales: a scale of 16 bits and a zero point as wide as a weight for each group of
    AWQ and GPTQ; one of 32 bits for a block of fp8; one of 32 bits for 64 numbers of bitsandbytes,
    or 8 bits and a little where these are quantised again (QLoRA, arXiv 2305.14314, section 3).
    """
    table = fields.table("quantization_config")
    if table is None:
        return BF16
    method = table.text("quant_method")
    if method == "mxfp4":
        return MXFP4
    if method in {"awq", "gptq"}:
        bits = table.whole("bits", "w_bit")
        if bits not in {2, 3, 4, 8}:
            raise table.wrong(f"bits is {bits}, expected 2, 3, 4 or 8")
        group = table.whole("group_size", "q_group_size", default=128, least=-1)
        real = bits + ((16 + bits) / group if group > 0 else 0)
        head = real if table.flag("lm_head", False) else 16
        return _own(f"{method}-{bits}bit", real, head=head, capability=(7, 5))
    if method in {"fp8", "fbgemm_fp8"}:
        block = table.entries("weight_block_size", int)
        size = block[0] * block[1] if len(block) == 2 and min(block) > 0 else 0
        return _own("fp8", 8 + (32 / size if size else 0), capability=(8, 0))
    if method == "compressed-tensors":
        return _compressed(table)
    if method == "bitsandbytes":
        return _bitsandbytes(table)
    if not method:
        raise table.wrong("the field quant_method is missing")
    error = table.wrong(f"the quantisation {method!r} cannot be planned for yet")
    error.hint = "mxfp4, awq, gptq, fp8, compressed-tensors and bitsandbytes can."
    raise error


def _own(name: str, bits: float, *, head: float = 16, capability: tuple[int, int]) -> Precision:
    return Precision(name, bits, bits, 16, head, capability, ("vllm",), note="as shipped")


def _compressed(table: Fields) -> Precision:
    groups = table.table("config_groups")
    if groups is None or not groups.data:
        raise table.wrong("the field config_groups is missing")
    found = set()
    for name in groups.data:
        group = groups.table(name)
        weights = group.table("weights") if group else None
        if weights is None:
            raise groups.wrong(f"{name} says nothing of weights")
        bits = weights.whole("num_bits")
        size = weights.whole("group_size", default=0, least=-1)
        found.add((weights.text("type", "int"), bits, size))
    if len(found) > 1:
        raise table.wrong("weights of several precisions in one checkpoint cannot be planned for")
    kind, bits, size = found.pop()
    name = "fp8" if (kind, bits) == ("float", 8) else f"{kind}{bits}"
    return _own(name, bits + (16 / size if size > 0 else 0), capability=(8, 0))


def _bitsandbytes(table: Fields) -> Precision:
    if table.flag("load_in_8bit", False):
        return replace(BNB4, name="bnb-8bit", linear=8, advised=True, servers=("vllm",))
    if not table.flag("load_in_4bit", False):
        raise table.wrong("neither load_in_4bit nor load_in_8bit is true")
    bits = 4.127 if table.flag("bnb_4bit_use_double_quant", False) else 4.5
    return replace(BNB4, linear=bits, advised=True, servers=("vllm",))
