"""How many bytes a model takes: weights, what it keeps of conversations, and room to compute."""

from dataclasses import dataclass

from agent.planning.precision import Precision
from agent.planning.shapes import Shape

GIB = 1 << 30
#: Tokens of a prompt that are computed at once (the default of vLLM and of llama.cpp is 2048).
CHUNK = 2048
#: Bytes that attention's scores may take in this process where they are stored: a longer prompt is
#: read in smaller parts.
EAGER_SCORES = 2 << 30
#: What a process takes on each GPU beside the model: the CUDA context, kernels, graphs (gpt-oss.md
#: has 1 to 2 GB; what grows with the model is counted apart, in `workspace_bytes`).
RUNTIME = 1_000_000_000


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of the weights. `split` is divided among GPUs, `copied` lies on each of them."""

    split: int
    copied: int

    @property
    def total(self) -> int:
        return self.split + self.copied

    def on_each(self, gpus: int) -> int:
        return -(-self.split // gpus) + self.copied


def weight_bytes(shape: Shape, precision: Precision) -> WeightBytes:
    """Bytes of all weights at a precision: parameters x bits / 8, each group at its own bits.

    Matrices, experts, embedding and head are divided by tensor parallelism; routers, norms and
    biases are small and lie on every GPU (vLLM's layers do so: ReplicatedLinear for routers). Where
    there are more GPUs than key-value heads these are copied, too; that is below 1 % and left out.
    """
    parts = shape.parameters
    split = (
        parts.embedding * precision.embedding
        + parts.head * precision.head
        + parts.linear * precision.linear
        + parts.experts * precision.experts
        + parts.expert_biases * 16
    )
    copied = (parts.routers + parts.other) * 16
    return WeightBytes(round(split / 8), copied // 8)


def expert_bytes(shape: Shape, precision: Precision) -> int:
    """Bytes of the routed experts of one layer, which a server may leave in main memory."""
    if not shape.expert_layers:
        return 0
    return round(shape.parameters.experts * precision.experts / 8 / shape.expert_layers)


def cache_bytes(
    shape: Shape, tokens: int, number_bytes: int = 2, *, gpus: int = 1, plain: bool = False
) -> int:
    """Bytes that one conversation of so many tokens keeps on each of the GPUs.

    A layer keeps `cached` numbers of each token: keys and values of every key-value head, or the
    one compressed vector of latent attention. A layer with a window keeps window - 1 tokens at
    most (transformers' DynamicSlidingWindowLayer; gpt-oss.md: batch * (T*2048*L/2 + 127*2048*L/2)
    for gpt-oss in 16 bits); a `plain` cache makes no use of windows. Tensor parallelism divides the
    heads, at least one to a GPU; a compressed vector has no heads and lies on every GPU.
    """
    kept = sum(
        min(tokens, window - 1) if window and not plain else tokens for window in shape.windows
    )
    whole = kept * shape.cached * number_bytes
    if shape.latent:
        return whole
    return whole * -(-shape.kv_heads // gpus) // shape.kv_heads


def workspace_bytes(shape: Shape, tokens: int, conversations: int, *, gpus: int = 1) -> int:
    """Bytes that a server needs on each GPU to compute, beside weights and caches.

    The runtime itself; what one chunk of a prompt holds within a layer (16 bits, twice: input and
    output of an operation); and scores over the vocabulary for each conversation (32 bits, twice:
    as computed and as sampled from). Servers use fused attention, which stores no scores between
    tokens; `eager_scores` says what they take where that is missing.
    """
    chunk = min(tokens, CHUNK) * shape.widest * 2 * 2
    scores = conversations * shape.vocabulary * 4 * 2
    return RUNTIME + -(-chunk // gpus) + scores


def eager_scores(shape: Shape, tokens: int, chunk: int) -> int:
    """Bytes of the attention scores of one layer without fused attention: heads x chunk x tokens in
    16 bits (gpt-oss.md: about 8 GiB for 8k by 8k with 64 heads)."""
    return shape.heads * min(chunk, tokens) * tokens * 2
