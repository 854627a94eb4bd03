"""What fits: each precision on each number of cards, how many conversations, of what length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.planning.cards import Cards
from agent.planning.memory import WeightBytes, cache_bytes, weight_bytes, workspace_bytes
from agent.planning.precision import Precision
from agent.planning.quantities import gib
from agent.planning.shapes import Shape

#: Beyond these nobody asks.
_MOST_CONVERSATIONS = 4096


@dataclass(frozen=True)
class Wish:
    """What is asked for: so many conversations of `context` tokens each at once; `cache` is the
    bytes of a number in the KV cache (2, or 1 for fp8); `share` of a card's memory may be used."""

    context: int
    conversations: int = 1
    cache: int = 2
    share: float = 0.9


@dataclass(frozen=True)
class Fit:
    """One way to run a model: bytes on each of `gpus` cards, and what they allow.

    `conversations` is how many fit at the wished length, `context` how long they may be at the
    wished number; both 0 where the weights alone are too much. `able`: the cards can run it, given
    the memory. `reason` says why it does not fit, empty where it does.
    """

    precision: Precision
    gpus: int
    weights: WeightBytes
    each_weights: int
    each_cache: int
    each_workspace: int
    each_usable: int
    conversations: int
    context: int
    able: bool = True
    reason: str = ""

    @property
    def fits(self) -> bool:
        return not self.reason

    @property
    def each_needed(self) -> int:
        return self.each_weights + self.each_cache + self.each_workspace


def splits(shape: Shape, cards: int) -> Sequence[int]:
    """The numbers of GPUs that tensor parallelism can divide a model over, at most `cards`: they
    divide the query heads, and divide the key-value heads or are divided by them (vLLM's
    ParallelConfig and QKVParallelLinear ask for both)."""
    kv = 1 if shape.latent else shape.kv_heads
    return [
        gpus
        for gpus in range(1, cards + 1)
        if shape.heads % gpus == 0 and (kv % gpus == 0 or gpus % kv == 0)
    ]


def fit(shape: Shape, precision: Precision, cards: Cards, gpus: int, wish: Wish) -> Fit:
    """Whether the wish can be met with one precision on so many of the cards."""
    weights = weight_bytes(shape, precision)
    usable = cards.usable(wish.share)

    def needed(context: int, conversations: int) -> int:
        cache = conversations * cache_bytes(shape, context, wish.cache, gpus=gpus)
        room = workspace_bytes(shape, context, conversations, gpus=gpus)
        return weights.on_each(gpus) + cache + room

    most = _greatest(_MOST_CONVERSATIONS, lambda many: needed(wish.context, many) <= usable)
    longest = _greatest(shape.context, lambda long: needed(long, wish.conversations) <= usable)
    made = Fit(
        precision=precision,
        gpus=gpus,
        weights=weights,
        each_weights=weights.on_each(gpus),
        each_cache=wish.conversations * cache_bytes(shape, wish.context, wish.cache, gpus=gpus),
        each_workspace=workspace_bytes(shape, wish.context, wish.conversations, gpus=gpus),
        each_usable=usable,
        conversations=most,
        context=longest,
    )
    obstacle = _obstacle(precision, cards)
    return replace(made, able=not obstacle, reason=obstacle or _shortage(made, cards))


def _obstacle(precision: Precision, cards: Cards) -> str:
    """Why these cards cannot run this precision, however much memory they have."""
    if cards.kind == "cuda" and cards.capability and cards.capability < precision.capability:
        have, want = (".".join(map(str, pair)) for pair in (cards.capability, precision.capability))
        return f"{precision.name} needs compute capability {want}, and {cards.name} has {have}" + (
            ": it would be unpacked to 16 bits" if precision.name == "mxfp4" else ""
        )
    if cards.kind != "cuda" and not {"llama-server", "ollama"} & set(precision.servers):
        return f"{precision.name} runs on CUDA cards only"
    return ""


def _shortage(made: Fit, cards: Cards) -> str:
    if made.each_needed <= made.each_usable:
        return ""
    each = " on each card" if made.gpus > 1 else ""
    have = f"{gib(made.each_usable)} of {gib(cards.memory)} may be used"
    if made.each_weights > made.each_usable:
        return f"the weights alone are {gib(made.each_weights)}{each}, and {have}"
    if made.each_weights + made.each_workspace > made.each_usable:
        rest = f"{gib(made.each_weights)} and room to compute {gib(made.each_workspace)}"
        return f"the weights are {rest}{each}, and {have}"
    left = made.each_usable - made.each_weights - made.each_workspace
    return f"the conversations need {gib(made.each_cache)}{each}, and {gib(max(left, 0))} are left"


def _greatest(most: int, holds: Callable[[int], bool]) -> int:
    """The greatest number from 1 to `most` that `holds`, 0 where none does; greater ones never
    hold where a smaller one does not."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def fits(shape: Shape, precisions: Sequence[Precision], cards: Cards, wish: Wish) -> Sequence[Fit]:
    """Every precision on every number of cards, in the order given, most cards first."""
    return [
        fit(shape, precision, cards, gpus, wish)
        for precision in precisions
        for gpus in sorted(splits(shape, cards.count), reverse=True)
    ]


def best(found: Sequence[Fit]) -> Fit | None:
    """The first that fits among those that are advised, None where none does."""
    return next((each for each in found if each.fits and each.precision.advised), None)
