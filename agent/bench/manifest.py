"""What a run is of: everything that its numbers depend on, written before anything starts.

A folder whose manifest says the same is gone on with; one that differs is another run. Two runs are
compared by their manifests, too.
"""

import hashlib
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent import checkpoint, prompts, reflection
from agent.bench.job import Way
from agent.bench.outlines import digest_of
from agent.budget import Plan
from agent.codec import image_data
from agent.keys import MODEL, REASONING
from agent.models.base import Model
from agent.request import suite_policy
from agent.settings import Settings, recordable
from sandbox.engine import shared_engine
from sandbox.errors import UsageError
from sandbox.image import Image, ImageSpec
from sandbox.policy import Policy
from tasks.suites.suite import Outline
from tools.tool import Toolbox
from tools.toolsets import toolset

SCHEMA = "greenroom.bench-run/1"
#: What may differ between two sittings of one run.
_PASSING = frozenset({"created", "engine", "images"})
#: Settings that say how a model is served or asked, beside those that the manifest names by itself.
_SETTINGS = (*MODEL, *REASONING, "malformed_retries")
_ELSEWHERE = frozenset({"model", "candidates", "price_input", "price_output", "model_timeout"})


@dataclass(frozen=True)
class What:
    """Of what suite a run is, who makes the patches, and how often each task is tried; of patches
    that were given who made them, and their digest."""

    suite: str
    version: str
    way: Way
    attempts: int
    made_by: str = ""
    patches: str = ""


def manifest_of(
    what: What,
    outlines: Mapping[str, Outline],
    found: Settings,
    model: Model | None,
    plan: Plan | None,
) -> dict[str, Any]:
    """The manifest of a run, as JSON data; `model` is prepared. Docs: docs/benchmark.md."""
    policies = {suite_policy(each.policy, found): None for each in outlines.values()}
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "greenroom": version("greenroom"),
        "engine": shared_engine().as_dict(),
        "suite": {"reference": what.suite, "version": what.version},
        "way": what.way,
        "attempts": what.attempts,
        **({"made_by": what.made_by, "patches": what.patches} if what.patches else {}),
        "tasks": {name: outlines[name].digest for name in sorted(outlines)},
        "policies": [_plain(policy.as_dict()) for policy in policies],
        "images": {
            image_key(spec): {"base": spec.base or spec.dockerfile or "greenroom", "id": None}
            for spec in dict.fromkeys(each.image for each in outlines.values())
        },
        **(_of_model(found, model, plan) if model and plan else {}),
    }


def _of_model(found: Settings, model: Model, plan: Plan) -> dict[str, Any]:
    settings = recordable(found)
    tools = found["toolset"] if found["toolset"] != "auto" else model.toolset
    return {
        "model": _plain(model.info.as_dict()),
        "sampling": asdict(plan.sampling),
        "limits": plan.limits.as_dict(),
        "candidates": plan.candidates,
        "settings": _plain(
            {n: settings[n] for n in _SETTINGS if n in settings and n not in _ELSEWHERE}
        ),
        "prompts": _prompts_digest(),
        "toolset": {"name": tools, "digest": _tools_digest(tools)},
    }


def image_key(spec: ImageSpec) -> str:
    """What the manifest calls an image."""
    return digest_of(image_data(spec)).removeprefix("sha256:")[:16]


def _prompts_digest() -> str:
    """Of all that the harness says to a model on its own account."""
    sources = (inspect.getsource(module) for module in (prompts, reflection, checkpoint))
    return f"sha256:{hashlib.sha256(''.join(sources).encode()).hexdigest()}"


def _tools_digest(name: str) -> str:
    specs = Toolbox(toolset(name, Policy()).tools).specs
    return digest_of([asdict(spec) for spec in specs])


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(data))
    return plain


def write(path: Path, manifest: Mapping[str, Any]) -> None:
    """Puts a manifest where it belongs, whole or not at all. Raises OSError."""
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=1)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)


def note_image(path: Path, manifest: dict[str, Any], spec: ImageSpec, image: Image) -> None:
    """Writes down which image a spec has become; one that it becomes later (it was removed on the
    way, and built again) stands beside the first. Blocks."""
    entry = manifest["images"].get(image_key(spec))
    if entry is None or image.reference in (entry["id"], *entry.get("others", ())):
        return
    if entry["id"] is None:
        entry |= {"id": image.reference, "origin": image.origin}
    else:
        entry["others"] = [*entry.get("others", ()), image.reference]
    write(path, manifest)


def read(path: Path) -> dict[str, Any]:
    """The manifest at `path`. Raises UsageError for what is none."""
    try:
        manifest = json.loads(path.read_text("utf-8"))
        schema = manifest["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{path} is not the manifest of a benchmark run",
            "Give the folder that `greenroom bench` wrote, or for a new run one that is not there.",
        ) from None
    if schema != SCHEMA:
        raise UsageError(f"{path}: {schema} is another version of the format; this is {SCHEMA}")
    return dict(manifest)


def check_same(kept: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """Raises UsageError, with the first key that differs and both its values, where a folder holds
    another run than the one that is wanted."""
    wanted = _plain(wanted)
    had, asked = (dict.fromkeys(each.get("tasks") or ()) for each in (kept, wanted))
    if odd := sorted(had.keys() ^ asked.keys()):
        raise UsageError(
            f"{folder} holds another run: its tasks are {len(had):,}, and now they are"
            f" {len(asked):,}; one has {odd[0]}, the other has not",
            "Give the same flags to go on with it, or another folder with --output.",
        )
    for name in dict.fromkeys((*kept, *wanted)):
        if name not in _PASSING and kept.get(name) != wanted.get(name):
            key, old, new = _difference(name, kept.get(name), wanted.get(name))
            raise UsageError(
                f"{folder} holds another run: its {key} is {_shown(old)}, and now it is"
                f" {_shown(new)}",
                "Give the same flags to go on with it, or another folder with --output.",
            )


def _difference(key: str, old: Any, new: Any) -> tuple[str, Any, Any]:
    """The innermost key that differs, with its values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name):
                return _difference(f"{key}.{name}", old.get(name), new.get(name))
    return key, old, new


def _shown(value: Any) -> str:
    text = "not there" if value is None else json.dumps(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
