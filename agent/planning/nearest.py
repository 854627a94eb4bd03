"""What would fit where the wish does not: less context, fewer at once, other cards, main memory."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agent.planning.cards import COMMON, KNOWN_CARDS, MOST_CARDS, Cards, parse_cards
from agent.planning.fit import Fit, Wish, fit, fits, splits
from agent.planning.memory import expert_bytes
from agent.planning.precision import Precision
from agent.planning.quantities import gib, tokens
from agent.planning.shapes import Shape

#: A context shorter than this is no use to an agent that reads code.
USEFUL = 8192


@dataclass(frozen=True)
class Way:
    """One change that makes it fit: its kind, in words, and the flags that ask for it. `host` is
    the bytes of main memory that it takes besides, for `layers` layers at `precision`."""

    kind: str
    text: str
    flags: str = ""
    host: int = 0
    layers: int = 0
    precision: str = ""


def ways(shape: Shape, precisions: Sequence[Precision], cards: Cards, wish: Wish) -> Sequence[Way]:
    """The nearest changes to a wish that does not fit, those that cost least first."""
    tried = [each for each in fits(shape, precisions, cards, wish) if each.precision.advised]
    if not tried:
        tried = list(fits(shape, precisions, cards, wish))
    able = [each for each in tried if each.able]
    found = list(_less(able, wish))
    found += _cache(shape, cards, wish, able)
    found += _offload(shape, cards, able)
    found += _more(shape, precisions, cards, wish)
    found += _other(shape, precisions, wish)
    return found


def _less(able: Sequence[Fit], wish: Wish) -> Iterator[Way]:
    """A shorter context, or fewer conversations, at the first precision that allows it."""
    for each in able:
        if each.context >= min(USEFUL, wish.context):
            shown = each.context // 1024 * 1024 or each.context
            many = f" for {wish.conversations} conversations" if wish.conversations > 1 else ""
            text = f"a context of {tokens(shown)}{many}, at {each.precision.name}"
            yield Way("context", text, f"--context {shown} --precision {each.precision.name}")
            break
    for each in able:
        if 0 < each.conversations < wish.conversations:
            text = f"{each.conversations} of {wish.conversations} conversations of "
            text += f"{tokens(wish.context)} at once, at {each.precision.name}"
            flags = f"--conversations {each.conversations} --precision {each.precision.name}"
            yield Way("conversations", text, flags)
            break


def _cache(shape: Shape, cards: Cards, wish: Wish, able: Sequence[Fit]) -> Iterator[Way]:
    """Half the KV cache."""
    if wish.cache == 1:
        return
    for each in able:
        if fit(shape, each.precision, cards, each.gpus, replace(wish, cache=1)).fits:
            name = each.precision.name
            yield Way("cache", f"a KV cache of 8 bits, at {name}", f"--kv fp8 --precision {name}")
            return


def _offload(shape: Shape, cards: Cards, able: Sequence[Fit]) -> Iterator[Way]:
    """Layers, or with experts only those, that llama-server leaves in main memory."""
    if cards.kind != "cuda":
        return
    ready: list[Way] = []
    for each in able:
        if each.fits or "llama-server" not in each.precision.servers:
            continue
        inner = each.weights.total - 2 * shape.vocabulary * shape.hidden
        # A whole layer takes its part of the KV cache along.
        whole = (inner + each.each_cache * each.gpus) // shape.layers
        layer = expert_bytes(shape, each.precision) or max(whole, 1)
        moved = -(-(each.each_needed - each.each_usable) * each.gpus // layer)
        if moved > (shape.expert_layers or shape.layers):
            continue
        what = f"the experts of {moved} of" if shape.expert_layers else f"{moved} of"
        text = f"{what} {shape.layers} layers in main memory ({gib(moved * layer)}), slower, with "
        text += f"llama-server at {each.precision.name}"
        ready.append(Way("offload", text, "", moved * layer, moved, each.precision.name))
    if ready:
        yield min(ready, key=lambda way: way.host)


def _more(shape: Shape, precisions: Sequence[Precision], cards: Cards, wish: Wish) -> Iterator[Way]:
    """More of the same cards."""
    if cards.kind != "cuda":
        return
    names = {card.name for card in KNOWN_CARDS.values()}
    advised = [each for each in precisions if each.advised] or precisions
    for gpus in splits(shape, MOST_CARDS):
        if gpus <= cards.count:
            continue
        many = replace(cards, count=gpus)
        able = [each for each in advised if fit(shape, each, many, gpus, wish).fits]
        if able:
            text = f"{many}, at {able[0].name}"
            size = f"{cards.memory / (1 << 30):.3g}G"
            word = cards.name if cards.name in names else size
            yield Way("cards", text, f"--gpus {shlex.quote(f'{gpus}x{word}')}")
            return


def _other(shape: Shape, precisions: Sequence[Precision], wish: Wish) -> Iterator[Way]:
    """The smallest common card that does."""
    advised = [each for each in precisions if each.advised] or precisions
    for text in COMMON:
        cards = parse_cards(text)
        if cards.kind != "cuda" or cards.count > 1:
            continue
        able = [each for each in advised if fit(shape, each, cards, 1, wish).fits]
        if able:
            yield Way("card", f"one {cards}, at {able[0].name}", f"--gpus {text}")
            return
