"""`greenroom plan`: what a model needs of memory, what fits on which cards, how to serve it."""

import argparse
import shlex
from collections.abc import Sequence

from agent.cli.console import Console
from agent.cli.text import count, table
from agent.planning.cards import common, parse_cards
from agent.planning.document import model_document, plan_document
from agent.planning.find import Model, find
from agent.planning.fit import Fit, Wish
from agent.planning.known import KNOWN
from agent.planning.machine import here
from agent.planning.memory import cache_bytes, weight_bytes
from agent.planning.plan import Plan, make_plan
from agent.planning.quantities import gb, gib, parse_tokens, tokens
from sandbox.errors import UsageError

DESCRIPTION = """\
Say what a model needs of memory, whether it fits, at which precision, for how many conversations
of what length, and the command that serves it. MODEL is a known name, a config.json, a folder with
one, or a model in the Hugging Face cache; without it the known ones are listed. Nothing is
downloaded.

--gpus takes a number of cards and their memory or name: 24G, 2x80G, "RTX 4090", 4xH100, "mac 64G",
"cpu 128G". Without it this machine's are taken; `--gpus common` shows what fits on common ones.
Exits with 0 when what is asked for fits, and with 1 when it does not.

GiB are 2^30 bytes, and so is a G, since a card sold as 24 GB has 24 GiB; GB are 10^9 bytes.\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", metavar="MODEL", help="e.g. gpt-oss-20b, ./config.json")
    parser.add_argument("--gpus", metavar="CARDS", help="e.g. 24G, 2x80G (default: what is here)")
    parser.add_argument(
        "--context",
        metavar="TOKENS",
        help="tokens of each conversation, e.g. 32k (default: 32k, or the model's most)",
    )
    parser.add_argument(
        "--conversations",
        metavar="N",
        default="1",
        help="how many at the same time (default: 1)",
    )
    parser.add_argument("--precision", metavar="NAME", default="", help="only this one, e.g. fp8")
    parser.add_argument(
        "--kv", choices=["bf16", "fp8"], default="bf16", help="numbers in the KV cache"
    )
    parser.add_argument(
        "--utilization",
        metavar="SHARE",
        default="0.9",
        help="of a card's memory that may be used (default: 0.9, as in vLLM)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def main(options: argparse.Namespace, console: Console) -> int:
    if not options.model:
        return _list(console, options.json)
    model = find(options.model)
    wish = _wish(options, model)
    if options.gpus and options.gpus.strip().lower() == "common":
        return _compare(model, wish, options, console)
    cards = parse_cards(options.gpus) if options.gpus else here()
    plan = make_plan(model, cards, wish, options.precision)
    if options.json:
        console.document(plan_document(plan))
    else:
        _print(plan, console)
        if cards.kind == "cpu" and not options.gpus and not console.quiet:
            console.say()
            _print_cards(
                [make_plan(model, each, wish, options.precision) for each in common()], console
            )
    return 0 if plan.chosen else 1


def _wish(options: argparse.Namespace, model: Model) -> Wish:
    context = parse_tokens(options.context) if options.context else min(32768, model.shape.context)
    try:
        conversations, share = int(options.conversations), float(options.utilization)
    except ValueError:
        raise UsageError(
            "--conversations takes a whole number, and --utilization one such as 0.9"
        ) from None
    if not 1 <= conversations <= 4096:
        raise UsageError(f"--conversations: {conversations}; expected 1 to 4096")
    if not 0.1 <= share <= 1:
        raise UsageError(f"--utilization: {share}; expected 0.1 to 1")
    return Wish(context, conversations, 1 if options.kv == "fp8" else 2, share)


def _list(console: Console, as_json: bool) -> int:
    models = [find(name) for name in KNOWN]
    if as_json:
        console.document(
            {
                "schema": "greenroom.plan-models/1",
                "models": [model_document(model) for model in models],
            }
        )
        return 0
    rows = [("model", "parameters", "active", "as shipped", "", "KV of 32k", "longest")]
    for model in models:
        parameters = model.shape.parameters.total
        weights = weight_bytes(model.shape, model.native).total
        kept = cache_bytes(model.shape, 32768)
        rows.append(
            (
                model.name,
                _billions(parameters),
                _billions(model.shape.active),
                gb(weights),
                model.native.name,
                gib(kept),
                tokens(model.shape.context),
            )
        )
    console.say(table(rows))
    return 0


def _compare(model: Model, wish: Wish, options: argparse.Namespace, console: Console) -> int:
    plans = [make_plan(model, cards, wish, options.precision) for cards in common()]
    if options.json:
        documents = [plan_document(plan) for plan in plans]
        console.document({"schema": "greenroom.plans/1", "plans": documents})
        return 0
    _print_model(plans[0], console)
    _print_cards(plans, console)
    return 0


def _print(plan: Plan, console: Console) -> None:
    _print_model(plan, console)
    console.say(f"on      {plan.cards}")
    console.say()
    most = max(each.gpus for each in plan.fits)
    shown = [each for each in plan.fits if each.gpus == most or console.verbose]
    head = (
        "precision",
        "GPUs",
        "weights",
        "KV cache",
        "room",
        "of",
        "conversations",
        "longest",
        "",
    )
    rows = [head, *map(_row, shown)]
    for each, line in zip([None, *shown], table(rows).splitlines(), strict=True):
        style = "bold" if each is None else "green" if each is plan.chosen else ""
        console.say(line, style or ("" if each and each.fits else "dim"))
    console.note(
        "(of each GPU; then how many conversations of that context fit, or how long they may be)",
        "dim",
    )
    console.say()
    _print_answer(plan, console)
    for command in plan.commands:
        console.say()
        console.say(f"  {command.line}")
        note = f"  ({command.note})" if command.note else ""
        console.note(f"  then: greenroom solve -m {shlex.quote(command.model)}{note}", "dim")
    if plan.notes and not console.quiet:
        console.say()
        for note in plan.notes:
            console.say(note, "dim")


def _print_model(plan: Plan, console: Console) -> None:
    shape, wish = plan.model.shape, plan.wish
    active = f", {_billions(shape.active)} active" if shape.experts else ""
    weights = weight_bytes(shape, plan.model.native).total
    console.say(
        f"model   {plan.model.name}: {_billions(shape.parameters.total)} parameters{active}; "
        f"{plan.model.native.name} as shipped, {gb(weights)} ({gib(weights)})"
    )
    kept = cache_bytes(shape, wish.context, wish.cache)
    console.say(
        f"asked   {count(wish.conversations, 'conversation')} of {tokens(wish.context)} tokens; "
        f"{gib(kept)} of KV cache each"
    )


def _print_answer(plan: Plan, console: Console) -> None:
    chosen = plan.chosen
    if chosen:
        many = f" over {chosen.gpus} GPUs" if chosen.gpus > 1 else ""
        console.say(
            f"fits at {chosen.precision.name}{many}: {gib(chosen.each_needed)} of "
            f"{gib(chosen.each_usable)}; up to {count(chosen.conversations, 'conversation')} of "
            f"{tokens(plan.wish.context)}",
            "green",
        )
        if chosen.precision.note:
            console.note(f"  {chosen.precision.name}: {chosen.precision.note}")
        if not plan.commands:
            console.note("  No server that is known here loads that by a single command.")
        return
    console.say(f"does not fit: {plan.why}", "red")
    if plan.ways:
        console.say("what would:")
    for way in plan.ways:
        flags = f"   {way.flags}" if way.flags else ""
        console.say(f"  {way.text}{flags}")


def _print_cards(plans: Sequence[Plan], console: Console) -> None:
    rows = [("cards", "precision", "needs", "of", "conversations", "longest")]
    for plan in plans:
        each = plan.chosen
        if each is None:
            rows.append((str(plan.cards), "-", "", "", "", f"does not fit: {plan.why}"))
            continue
        needs, of = gib(each.each_needed), gib(each.each_usable)
        longest = tokens(each.context // 256 * 256 or each.context)
        name = each.precision.name
        rows.append((str(plan.cards), name, needs, of, f"{each.conversations:,}", longest))
    for row, line in zip(rows, table(rows).splitlines(), strict=True):
        console.say(line, "bold" if row is rows[0] else "dim" if row[1] == "-" else "")


def _row(each: Fit) -> tuple[str, ...]:
    longest = tokens(each.context // 256 * 256 or each.context) if each.context else "-"
    many = f"{each.conversations:,}" if each.conversations else "-"
    if not each.able:
        longest = many = "-"
    sizes = (each.each_weights, each.each_cache, each.each_workspace, each.each_usable)
    return (
        each.precision.name,
        str(each.gpus),
        *map(gib, sizes),
        many,
        longest,
        _short(each),
    )


def _short(each: Fit) -> str:
    if not each.able:
        return each.reason
    if each.fits:
        note = each.precision.note
        return f"fits; {note}" if note.startswith("needs") else "fits"
    if not each.conversations and not each.context:
        return "the weights alone are too much"
    return "too long" if not each.conversations else "too many at once"


def _billions(number: int) -> str:
    return f"{number / 1e9:.2f}B" if number >= 1e9 else f"{number / 1e6:.0f}M"
