"""KV caches of conversations that share one model: which one a prompt goes on from, and which go.

A cache that is cut or used twice is not copied: layers replace their tensors as they grow, so two
caches share what they have in common until each reads on.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

#: How layers keep what was read: every token, so that they can be cut anywhere; a window of tokens
#: in some, which can only be taken back to a copy; a state of all that was read, which cannot.
Kind = Literal["plain", "sliding", "state"]
#: A copy is made of layers that keep a window after so many tokens, and so many are kept.
_EVERY, _MOST_COPIES = 2048, 16


@dataclass(eq=False)
class Held:
    """A cache and the tokens that it has read. `copies` are the layers that cannot be cut, as they
    were after so many tokens."""

    cache: Any
    ids: list[int] = field(default_factory=list)
    copies: dict[int, dict[int, Any]] = field(default_factory=dict)
    in_use: bool = False
    used: int = 0

    @property
    def size(self) -> int:
        """Bytes, those of the copies included."""
        copies = (layer for kept in self.copies.values() for layer in kept.values())
        return _bytes([*self.cache.layers, *copies])

    def reach(self, ids: list[int]) -> int:
        """How many tokens at the start of `ids` it can serve."""
        common = _common(self.ids, ids)
        if common == len(self.ids) or not _windows(self.cache):
            return common
        return max((length for length in self.copies if length <= common), default=0)

    def fork(self) -> "Held":
        """Another cache that has read the same."""
        cache = copy.copy(self.cache)
        cache.layers = [_copy(layer) for layer in self.cache.layers]
        return Held(cache, list(self.ids), dict(self.copies))

    def cut(self, length: int) -> None:
        """Forgets what follows `length` tokens, which has to be within reach."""
        surplus = len(self.ids) - length
        if not surplus:
            return
        kept = self.copies.get(length, {})
        for place, layer in enumerate(self.cache.layers):
            if place in kept:
                self.cache.layers[place] = copy.copy(kept[place])
            else:
                layer.crop(-surplus)
        del self.ids[length:]
        self.copies = {at: each for at, each in self.copies.items() if at <= length}

    def note(self, *, always: bool = False) -> None:
        """Keeps a copy of the layers that cannot be cut, if it is time for one."""
        windows = _windows(self.cache)
        if windows and (always or len(self.ids) >= max(self.copies, default=0) + _EVERY):
            self.copies[len(self.ids)] = {n: copy.copy(self.cache.layers[n]) for n in windows}
            for length in sorted(self.copies)[:-_MOST_COPIES]:
                del self.copies[length]


class Caches:
    """The caches of one model, the least recently used ones removed beyond `limit` bytes. Only for
    one thread."""

    def __init__(self, model: Any, kind: Kind, limit: int) -> None:
        self._model = model
        self._kind = kind
        self._limit = limit
        self._held: list[Held] = []
        self._clock = itertools.count(1)

    def take(self, ids: list[int], *, same_turn: bool = False) -> Held:
        """A cache that has read what `ids` begin with, as much as any has, for use until it is
        given back. What else the cache held stays, in another one, unless there is no room for both
        or the prompt is the `same_turn` going on from an earlier place."""
        found = max(self._held, key=lambda each: (each.reach(ids), each.used), default=None)
        length = found.reach(ids) if found else 0
        if found is None or length == 0 or self._kind == "state":
            found = Held(self._new())
            self._held.append(found)
        elif found.in_use or (length < len(found.ids) and not same_turn and self._fits(found)):
            found = found.fork()
            found.cut(length)
            self._held.append(found)
        else:
            found.cut(length)
        found.in_use, found.used = True, next(self._clock)
        return found

    def give_back(self, held: Held) -> None:
        held.in_use, held.used = False, next(self._clock)
        if self._kind == "state" or not held.ids:
            self.drop(held)
        self.trim()

    def drop(self, held: Held) -> None:
        """Removes a cache, which may hold anything."""
        self._held = [each for each in self._held if each is not held]

    def drop_idle(self) -> bool:
        """Removes all that nobody uses; whether there was any."""
        before = len(self._held)
        self._held = [each for each in self._held if each.in_use]
        return len(self._held) < before

    def trim(self) -> None:
        """Removes what has not been used for longest, as long as there is too much."""
        sizes = {id(each): each.size for each in self._held}
        total = sum(sizes.values())
        for each in sorted(self._held, key=lambda held: held.used):
            if total <= self._limit:
                return
            if not each.in_use:
                self.drop(each)
                total -= sizes[id(each)]

    def _fits(self, held: Held) -> bool:
        """Whether there is room for another one like it."""
        return sum(each.size for each in self._held) + held.size <= self._limit

    def rows(self, held: Held, wanted: int) -> int:
        """How many copies of a cache there is room for at once; one at least."""
        return max(1, min(wanted, self._limit // max(1, _bytes(held.cache.layers))))

    def clear(self) -> None:
        self._held = []

    def _new(self) -> Any:
        from transformers import DynamicCache  # noqa: PLC0415

        # Without the configuration it is one that keeps every token, whatever the model needs.
        return DynamicCache() if self._kind == "plain" else DynamicCache(config=self._model.config)


def kind_of(model: Any, limit: int) -> Kind:
    """How the model's caches are best kept where all may take `limit` bytes: a window is kept only
    where a conversation that fills the model's context would otherwise take half of that."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or {"full_attention"})
    if not kinds <= {"full_attention", "sliding_attention"} or model._is_stateful:
        return "state"
    if "sliding_attention" not in kinds:
        return "plain"
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    token = 2 * config.num_hidden_layers * heads * size * model.dtype.itemsize
    return "sliding" if config.max_position_embeddings * token > limit // 2 else "plain"


def _bytes(layers: Sequence[Any]) -> int:
    pairs = [(getattr(each, "keys", None), getattr(each, "values", None)) for each in layers]
    # A copy has the very tensors of its layer until that reads on.
    tensors = {id(tensor): tensor for pair in pairs for tensor in pair if tensor is not None}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _copy(layer: Any) -> Any:
    """A layer that grows by itself from here on. A state is changed where it stands."""
    return copy.deepcopy(layer) if hasattr(layer, "recurrent_states") else copy.copy(layer)


def _windows(cache: Any) -> list[int]:
    """The places of layers that keep a window."""
    return [
        place for place, layer in enumerate(cache.layers) if getattr(layer, "is_sliding", False)
    ]


def _common(held: list[int], wanted: list[int]) -> int:
    """How many tokens both begin with."""
    length = min(len(held), len(wanted))
    if held[:length] == wanted[:length]:
        return length
    return next(n for n in range(length) if held[n] != wanted[n])
