"""The architectures that can be planned for, and how many parameters each has.

The source of every count is the class of that name in transformers 5.20 (`models/*/modeling_*.py`);
the tests build each class and compare.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.planning.fields import Fields
from agent.planning.shapes import Parameters, Shape

#: A bias that is there if a field says so, by default or not; the field "" never says.
_Bias = tuple[str, bool]
_NO: _Bias = ("", False)


@dataclass(frozen=True)
class Family:
    """How the models of one `model_type` are built.

    `windows` gives each layer's window; `head_dim` is used where the configuration has none (0: the
    hidden size over the heads); `kv_heads` whether that field may be left out. `norms` counts a
    norm's vectors; `gated`: the feed-forward layer has three matrices, not two.
    """

    windows: Callable[[Fields, int], Sequence[int]]
    qkv_bias: _Bias = _NO
    out_bias: _Bias = _NO
    mlp_bias: _Bias = _NO
    head_norms: _Bias = _NO
    head_dim: int = 0
    kv_heads: bool = True
    sinks: bool = False
    norms: int = 1
    gated: bool = True
    tied: bool = False
    latent: bool = False
    experts: Callable[[Fields], "Experts"] | None = None


@dataclass(frozen=True)
class Experts:
    """The mixture of experts of a model. `shared` is the width of what every token takes besides,
    `gated` whether a gate weighs that; `sparse` has the layers that have experts."""

    number: int
    active: int
    width: int
    sparse: frozenset[int]
    biases: bool = False
    shared: int = 0
    gated: bool = False


def shape(fields: Fields) -> Shape:
    """The shape of the model that the fields of a config.json describe. Raises UsageError."""
    kind = fields.text("model_type")
    if not kind:
        raise fields.wrong("the field model_type is missing")
    if kind not in FAMILIES:
        error = fields.wrong(f"models of the type {kind!r} cannot be planned for yet")
        error.hint = f"These can: {', '.join(sorted(FAMILIES))}."
        raise error
    family = FAMILIES[kind]
    hidden = fields.whole("hidden_size")
    vocabulary = fields.whole("vocab_size")
    layers = fields.whole("num_hidden_layers")
    if layers > 1024:
        raise fields.wrong(f"num_hidden_layers is {layers}, expected at most 1024")
    experts = family.experts(fields) if family.experts else None
    attention = _latent(fields, hidden) if family.latent else _grouped(fields, family, hidden)
    dense = layers - (len(experts.sparse) if experts else 0)
    linear, other = layers * attention.linear, layers * attention.other
    other += (2 * layers + 1) * family.norms * hidden
    width = fields.whole("intermediate_size") if dense else 0
    matrices = 3 if family.gated else 2
    linear += dense * matrices * hidden * width
    mlp_bias = _has(fields, family.mlp_bias)
    other += dense * ((matrices - 1) * width + hidden) * mlp_bias
    routed = biases = routers = 0
    if experts:
        many = len(experts.sparse)
        routed = many * experts.number * 3 * hidden * experts.width
        routers = many * experts.number * (hidden + experts.biases)
        biases = many * experts.number * (2 * experts.width + hidden) * experts.biases
        linear += many * 3 * hidden * experts.shared
        other += many * hidden * experts.gated
        other += many * (2 * experts.shared + hidden) * (mlp_bias and experts.shared > 0)
    tied = fields.flag("tie_word_embeddings", family.tied)
    feed = [matrices * width] if dense else []
    if experts:
        feed.append(3 * (experts.active * experts.width + experts.shared))
    return Shape(
        model_type=kind,
        hidden=hidden,
        vocabulary=vocabulary,
        windows=tuple(family.windows(fields, layers)),
        heads=attention.heads,
        kv_heads=attention.kv_heads,
        cached=attention.cached,
        context=fields.whole("max_position_embeddings"),
        widest=4 * hidden + max([attention.width, *feed]),
        parameters=Parameters(
            embedding=vocabulary * hidden,
            head=0 if tied else vocabulary * hidden,
            linear=linear,
            experts=routed,
            expert_biases=biases,
            routers=routers,
            other=other,
        ),
        experts=experts.number if experts else 0,
        active_experts=experts.active if experts else 0,
        expert_layers=len(experts.sparse) if experts else 0,
        latent=family.latent,
    )


@dataclass(frozen=True)
class _Attention:
    heads: int
    kv_heads: int
    cached: int
    linear: int
    other: int
    width: int


def _grouped(fields: Fields, family: Family, hidden: int) -> _Attention:
    """Attention of a layer whose query heads share key and value heads in groups."""
    heads = fields.whole("num_attention_heads")
    kv_heads = fields.whole("num_key_value_heads", default=None if family.kv_heads else heads)
    size = fields.whole("head_dim", default=family.head_dim or max(hidden // heads, 1))
    if heads % kv_heads:
        raise fields.wrong(f"{heads} attention heads cannot share {kv_heads} key-value heads")
    query, keys = heads * size, kv_heads * size
    other = heads if family.sinks else 0
    other += (query + 2 * keys) * _has(fields, family.qkv_bias)
    other += hidden * _has(fields, family.out_bias)
    other += 2 * size * _has(fields, family.head_norms)
    linear = 2 * hidden * (query + keys)
    return _Attention(heads, kv_heads, 2 * keys, linear, other, 2 * (query + keys))


def _latent(fields: Fields, hidden: int) -> _Attention:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): keys and values are
    made from one compressed vector per token, and only that and its rotary part are cached."""
    heads = fields.whole("num_attention_heads")
    latent, rotary = fields.whole("kv_lora_rank"), fields.whole("qk_rope_head_dim")
    plain, value = fields.whole("qk_nope_head_dim"), fields.whole("v_head_dim")
    if "q_lora_rank" not in fields.data:
        raise fields.wrong("the field q_lora_rank is missing (null where there is none)")
    rank = fields.whole("q_lora_rank", default=0)
    query = heads * (plain + rotary)
    bias = fields.flag("attention_bias", False)
    linear = hidden * (latent + rotary) + latent * heads * (plain + value) + heads * value * hidden
    other = latent + (latent + rotary + hidden) * bias
    if rank:
        linear += hidden * rank + rank * query
        other += rank + rank * bias
    else:
        linear += hidden * query
    width = 2 * query + heads * (plain + value)
    return _Attention(heads, heads, latent + rotary, linear, other, width)


def _has(fields: Fields, bias: _Bias) -> bool:
    return fields.flag(*bias) if bias[0] else bias[1]


# Which layers look back on a window only.


def _full(fields: Fields, layers: int) -> Sequence[int]:
    return [0] * layers


def _typed(fields: Fields, layers: int, window: int) -> Sequence[int] | None:
    """The windows by the field `layer_types`, None where there is none."""
    kinds = fields.entries("layer_types", str)
    if not kinds:
        return None
    if len(kinds) != layers:
        raise fields.wrong(f"layer_types has {len(kinds)} entries for {layers} layers")
    odd = set(kinds) - {"full_attention", "sliding_attention"}
    if odd:
        raise fields.wrong(f"layers of the type {min(odd)!r} cannot be planned for yet")
    if "sliding_attention" in kinds and not window:
        raise fields.wrong("the field sliding_window is missing, and layer_types needs it")
    return [window if kind == "sliding_attention" else 0 for kind in kinds]


def _everywhere(fields: Fields, layers: int) -> Sequence[int]:
    """A window in every layer where `sliding_window` is given (Mistral)."""
    window = fields.whole("sliding_window", default=0)
    return _typed(fields, layers, window) or [window] * layers


def _alternating(fields: Fields, layers: int) -> Sequence[int]:
    """Window and full attention in turns, the window first (gpt-oss)."""
    window = fields.whole("sliding_window")
    typed = _typed(fields, layers, window)
    return typed or [0 if layer % 2 else window for layer in range(layers)]


def _if_used(
    rule: Callable[[int, int], bool] | None,
) -> Callable[[Fields, int], Sequence[int]]:
    """A window only where `use_sliding_window` says so, in the layers that `rule` names by their
    number and `max_window_layers` (Qwen)."""

    def windows(fields: Fields, layers: int) -> Sequence[int]:
        if not fields.flag("use_sliding_window", False):
            return [0] * layers
        window = fields.whole("sliding_window")
        typed = _typed(fields, layers, window)
        if typed:
            return typed
        if rule is None:
            raise fields.wrong("the field layer_types is missing, and use_sliding_window needs it")
        most = fields.whole("max_window_layers", default=28, least=0)
        return [window if rule(layer, most) else 0 for layer in range(layers)]

    return windows


# Which experts there are.


def _every_layer(fields: Fields) -> Experts:
    """gpt-oss and Mixtral: experts in every layer, as wide as `intermediate_size`."""
    return Experts(
        number=fields.whole("num_local_experts", "num_experts"),
        active=fields.whole("num_experts_per_tok", "experts_per_token"),
        width=fields.whole("intermediate_size"),
        sparse=frozenset(range(fields.whole("num_hidden_layers"))),
        biases=fields.data["model_type"] == "gpt_oss",
    )


def _qwen(fields: Fields) -> Experts:
    """Experts in each `decoder_sparse_step`th layer but `mlp_only_layers`; Qwen2 shares one."""
    step = fields.whole("decoder_sparse_step", default=1)
    dense = fields.entries("mlp_only_layers", int)
    shared = fields.data["model_type"] == "qwen2_moe"
    layers = range(fields.whole("num_hidden_layers"))
    return Experts(
        number=fields.whole("num_experts", "num_local_experts"),
        active=fields.whole("num_experts_per_tok"),
        width=fields.whole("moe_intermediate_size"),
        sparse=frozenset(n for n in layers if (n + 1) % step == 0 and n not in dense),
        shared=fields.whole("shared_expert_intermediate_size") if shared else 0,
        gated=shared,
    )


def _deepseek(fields: Fields) -> Experts:
    """Experts after the first `first_k_dense_replace` layers, and shared ones beside them."""
    if fields.whole("moe_layer_freq", default=1) != 1:
        raise fields.wrong("a moe_layer_freq other than 1 cannot be planned for")
    first = fields.whole("first_k_dense_replace", least=0)
    width = fields.whole("moe_intermediate_size")
    return Experts(
        number=fields.whole("n_routed_experts", "num_local_experts", "num_experts"),
        active=fields.whole("num_experts_per_tok"),
        width=width,
        sparse=frozenset(range(first, fields.whole("num_hidden_layers"))),
        shared=width * fields.whole("n_shared_experts"),
    )


_ATTENTION: _Bias = ("attention_bias", False)
_LLAMA = Family(_full, _ATTENTION, _ATTENTION, ("mlp_bias", False), kv_heads=False)
_ALWAYS: _Bias = ("", True)
_USE: _Bias = ("use_bias", True)
_LATER = _if_used(lambda layer, most: layer >= most)

FAMILIES: Mapping[str, Family] = {
    "llama": _LLAMA,
    "mistral": Family(_everywhere),
    "ministral": Family(_everywhere),
    "mixtral": Family(_everywhere, experts=_every_layer),
    "phi3": Family(_everywhere, kv_heads=False),
    "qwen2": Family(_LATER, qkv_bias=_ALWAYS),
    "qwen3": Family(_LATER, _ATTENTION, _ATTENTION, head_norms=_ALWAYS, head_dim=128),
    "qwen2_moe": Family(
        _if_used(lambda layer, most: layer % 2 == 0 and layer < most),
        qkv_bias=("qkv_bias", True),
        experts=_qwen,
    ),
    "qwen3_moe": Family(
        _if_used(lambda layer, most: True),
        _ATTENTION,
        _ATTENTION,
        head_norms=_ALWAYS,
        experts=_qwen,
    ),
    "smollm3": Family(_if_used(None), _ATTENTION, _ATTENTION, ("mlp_bias", False), tied=True),
    "starcoder2": Family(_everywhere, _USE, _USE, _USE, norms=2, gated=False, tied=True),
    "seed_oss": Family(
        _full,
        ("attention_bias", True),
        ("attention_out_bias", False),
        ("mlp_bias", False),
        head_dim=128,
    ),
    "glm4_moe": Family(_full, _ATTENTION, head_norms=("use_qk_norm", False), experts=_deepseek),
    "gpt_oss": Family(
        _alternating,
        ("attention_bias", True),
        ("attention_bias", True),
        head_dim=64,
        sinks=True,
        experts=_every_layer,
    ),
    "deepseek_v2": Family(_full, mlp_bias=("mlp_bias", False), latent=True, experts=_deepseek),
    "deepseek_v3": Family(_full, latent=True, experts=_deepseek),
}
