"""The whole plan for one model on some cards, and what has to be said with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.planning.cards import Cards
from agent.planning.find import Model
from agent.planning.fit import Fit, Wish, best, fits
from agent.planning.memory import eager_scores
from agent.planning.nearest import Way, ways
from agent.planning.precision import Precision, offered
from agent.planning.quantities import gb, gib, tokens
from agent.planning.serving import Command, commands
from sandbox.errors import UsageError


@dataclass(frozen=True)
class Plan:
    """`fits` has every way that was tried, `chosen` the one to take, None where none fits; then
    `ways` says what would."""

    model: Model
    cards: Cards
    wish: Wish
    fits: Sequence[Fit]
    chosen: Fit | None
    commands: Sequence[Command] = ()
    ways: Sequence[Way] = ()
    notes: Sequence[str] = field(default=())


def make_plan(model: Model, cards: Cards, wish: Wish, precision: str = "") -> Plan:
    """Plans for one model. With `precision` only that one is tried. Raises UsageError."""
    if wish.context > model.shape.context:
        raise UsageError(
            f"{model.name} reads at most {model.shape.context} tokens, and --context asks for"
            f" {wish.context}",
            f"Give --context {tokens(model.shape.context)} or less.",
        )
    precisions = _precisions(model, precision)
    found = fits(model.shape, precisions, cards, wish)
    able = next((each for each in found if each.fits), None)
    chosen = able if precision else best(found)
    run: list[Command] = []
    changes: Sequence[Way] = ()
    if chosen:
        run = commands(model, chosen, cards, wish)
    else:
        changes = ways(model.shape, precisions, cards, wish)
        offload = next((way for way in changes if way.layers), None)
        if offload:
            first = next(each for each in found if each.precision.name == offload.precision)
            run = commands(model, first, cards, wish, offload.layers)
    return Plan(model, cards, wish, found, chosen, run, changes, _notes(model, cards, wish, found))


def _precisions(model: Model, name: str) -> Sequence[Precision]:
    every = offered(model.shape, model.native)
    if not name:
        return every
    found = [each for each in every if each.name == name]
    if not found:
        raise UsageError(
            f"{model.name} is not planned for at the precision {name!r}",
            f"These are: {', '.join(each.name for each in every)}.",
        )
    return found


def _notes(model: Model, cards: Cards, wish: Wish, found: Sequence[Fit]) -> list[str]:
    """What is often believed and is not so, and what the numbers leave out."""
    notes = []
    size = {each.precision.name: each.weights.total for each in found}
    if model.native.name == "mxfp4":
        notes.append(
            "The official checkpoint is MXFP4 already: no quantising flag is needed, and"
            " bitsandbytes refuses it."
        )
        if "bnb-4bit" in size:
            notes.append(
                f"bitsandbytes in 4 bits on an unpacked copy takes {gb(size['bnb-4bit'])}, not a"
                " quarter: it replaces nn.Linear only, and the experts are none."
            )
        if cards.kind == "cuda":
            known = ".".join(map(str, cards.capability)) if cards.capability else "not known"
            notes.append(
                "MXFP4 on CUDA needs compute capability 7.5 or later"
                f" (this card's: {known}) and triton 3.4 or later; without them transformers"
                f" unpacks it to 16 bits ({gb(size['bf16'])})."
                if "bf16" in size
                else "MXFP4 on CUDA needs compute capability 7.5 or later, and triton 3.4 or later."
            )
    elif model.shape.experts and "bnb-4bit" in size:
        notes.append(
            f"bitsandbytes in 4 bits takes {gb(size['bnb-4bit'])}: it replaces nn.Linear only, and"
            " fused experts are none."
        )
    if cards.kind == "cuda" and cards.count > 1 and found:
        most = max(each.gpus for each in found)
        if most < cards.count:
            notes.append(
                f"Tensor parallelism divides {model.shape.heads} heads over {most} cards, not"
                f" {cards.count}: the others stay idle."
            )
    if cards.used > cards.memory // 20:
        notes.append(f"Other programs hold {gib(cards.used)} of a card now; that is counted.")
    if model.on_disk:
        native = size.get(model.native.name, 0)
        notes.append(
            f"The weights in its folder take {gb(model.on_disk)}; counted are {gb(native)}."
        )
    scores = eager_scores(model.shape, wish.context, 2048)
    if scores > 1 << 30:
        notes.append(
            "Without fused attention (transformers' eager) one chunk of 2k tokens needs"
            f" {gib(scores)} more."
        )
    return notes
