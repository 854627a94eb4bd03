"""The whole plan for one model on some cards, and what has to be said with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.planning.cards import Cards
from agent.planning.find import Model
from agent.planning.fit import Fit, Wish, best, fits
from agent.planning.memory import CHUNK, EAGER_SCORES, eager_scores, weight_bytes
from agent.planning.nearest import Way, ways
from agent.planning.precision import BNB4, Precision, offered
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
    notes: Sequence[str] = ()

    @property
    def why(self) -> str:
        """Why nothing fits: the reason of the way that needs least, since it comes nearest; empty
        where something does."""
        if self.chosen:
            return ""
        advised = [each for each in self.fits if each.precision.advised] or self.fits
        tried = [each for each in advised if each.able] or advised
        nearest = min(tried, key=lambda each: each.each_needed)
        return f"at {nearest.precision.name}, {nearest.reason}"


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
    shape = model.shape
    notes = _mxfp4(cards) if model.native.name == "mxfp4" else []
    sizes = {each.precision.name: each.weights.total for each in found}
    if BNB4 in (each.precision for each in found):
        notes.append(
            f"bitsandbytes in 4 bits, on a 16-bit copy, takes {gb(sizes[BNB4.name])}, not a"
            " quarter: it replaces nn.Linear only, and fused experts are none."
        )
    if model.native.name == "mxfp4" and shape.model_type == "gpt_oss":
        scores = gib(min(eager_scores(shape, wish.context, CHUNK), EAGER_SCORES))
        notes.append(
            f"In this process (-m hf:...) attention may be eager: up to {scores} more while a"
            " prompt is read."
        )
    most = max(each.gpus for each in found)
    if most < cards.count:
        notes.append(
            f"Tensor parallelism divides this model over {most} cards, not {cards.count}: the"
            " others stay idle."
        )
    if cards.used > cards.memory // 20:
        notes.append(f"Other programs hold {gib(cards.used)} of a card now; that is counted.")
    if model.on_disk:
        counted = gb(weight_bytes(shape, model.native).total)
        notes.append(
            f"The weights beside its configuration take {gb(model.on_disk)}; counted are {counted}."
        )
    return notes


def _mxfp4(cards: Cards) -> list[str]:
    notes = [
        "The official checkpoint is MXFP4 already: it needs no quantising flag, and bitsandbytes"
        " refuses it."
    ]
    if cards.kind == "cuda":
        known = ".".join(map(str, cards.capability)) if cards.capability else "not known"
        notes.append(
            f"MXFP4 needs compute capability 7.5 or later (here: {known}) and triton 3.4 or later;"
            " without them transformers unpacks it to 16 bits, three times the memory."
        )
    return notes
