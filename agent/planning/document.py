"""A plan as data, for programs: docs/json.md says what each field means."""

from dataclasses import asdict

from agent.planning.find import Model
from agent.planning.fit import Fit
from agent.planning.memory import cache_bytes, weight_bytes
from agent.planning.plan import Plan


def model_document(model: Model) -> dict[str, object]:
    shape = model.shape
    return {
        "name": model.name,
        "origin": model.origin,
        "model_type": shape.model_type,
        "precision": model.native.name,
        "parameters": shape.parameters.total,
        "active_parameters": shape.active,
        "layers": shape.layers,
        "sliding_layers": sum(map(bool, shape.windows)),
        "context": shape.context,
        "weights_bytes": weight_bytes(shape, model.native).total,
        "weights_on_disk_bytes": model.on_disk or None,
        "kv_bytes_per_token": cache_bytes(shape, shape.context)
        - cache_bytes(shape, shape.context - 1),
    }


def plan_document(plan: Plan) -> dict[str, object]:
    wish, cards = plan.wish, plan.cards
    return {
        "schema": "greenroom.plan/1",
        "model": model_document(plan.model),
        "cards": {**asdict(cards), "usable": cards.usable(wish.share)},
        "asked": {
            "context": wish.context,
            "conversations": wish.conversations,
            "kv": "fp8" if wish.cache == 1 else "bf16",
            "utilization": wish.share,
            "kv_bytes_per_conversation": cache_bytes(plan.model.shape, wish.context, wish.cache),
        },
        "fits": plan.chosen is not None,
        "chosen": _fit(plan.chosen) if plan.chosen else None,
        "tried": [_fit(each) for each in plan.fits],
        "reason": plan.why,
        "nearest": [asdict(way) for way in plan.ways],
        "commands": [asdict(command) for command in plan.commands],
        "notes": list(plan.notes),
    }


def _fit(each: Fit) -> dict[str, object]:
    return {
        "precision": each.precision.name,
        "gpus": each.gpus,
        "weights_bytes": each.weights.total,
        "per_gpu": {
            "weights": each.each_weights,
            "kv_cache": each.each_cache,
            "workspace": each.each_workspace,
            "usable": each.each_usable,
        },
        "conversations": each.conversations,
        "context": each.context,
        "fits": each.fits,
        "reason": each.reason,
    }
