"""Finds a model's configuration: by a known name, in a file or folder, in the hub's cache."""

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.planning.families import shape
from agent.planning.fields import Fields
from agent.planning.known import KNOWN, Known
from agent.planning.precision import Precision, native_precision
from agent.planning.shapes import Shape
from sandbox.errors import UsageError

#: A configuration is some kilobytes; more is something else.
_MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Model:
    """A model that can be planned for. `serve` is what a server is given to load it, `origin` where
    its shape comes from; `on_disk` the bytes of its weights where they are beside the
    configuration, 0 where they are not."""

    name: str
    serve: str
    origin: str
    shape: Shape
    native: Precision
    known: Known | None = None
    on_disk: int = 0

    @property
    def short(self) -> str:
        return self.name.rstrip("/").rpartition("/")[2].lower() or "model"


def find(name: str, environment: Mapping[str, str] = os.environ) -> Model:
    """The model that a name or path means. Nothing is downloaded. Raises UsageError."""
    known = _known(name)
    if known:
        fields = Fields(known.config, known.name)
        own = native_precision(fields)
        return Model(known.short, known.name, "known", shape(fields), own, known)
    path = Path(name.removeprefix("hf:")).expanduser()
    if path.is_dir():
        path = path / "config.json"
    if path.is_file():
        folder = path.parent.resolve()
        return _read(path, folder.name, str(folder))
    owned = name.removeprefix("hf:")
    cached = _cached(owned, environment)
    if cached:
        return _read(cached, owned, owned)
    raise _unknown(name)


def _known(name: str) -> Known | None:
    """The known model of that name: short, as on the hub, or as Ollama calls it."""
    word = name.lower()
    for prefix in ("hf:", "vllm:", "ollama:", "llamacpp:"):
        word = word.removeprefix(prefix)
    short = word.removesuffix("-instruct")
    if short in KNOWN:
        return KNOWN[short]
    return next((each for each in KNOWN.values() if word in {each.name.lower(), each.ollama}), None)


def _cached(name: str, environment: Mapping[str, str]) -> Path | None:
    from agent.models.discovery import hub_cache  # noqa: PLC0415 - a known name needs none of it

    if name.count("/") != 1 or ".." in name:
        return None
    folder = hub_cache(environment) / f"models--{name.replace('/', '--')}" / "snapshots"
    found = sorted(folder.glob("*/config.json"), key=lambda path: path.parent.stat().st_mtime)
    return found[-1] if found else None


def _read(path: Path, name: str, serve: str) -> Model:
    data = _json(path)
    fields = Fields(data, str(path))
    if "text_config" in data:
        kind = fields.text("model_type", "unknown")
        error = fields.wrong(
            f"models of the type {kind!r}, which see images, cannot be planned for"
        )
        error.hint = "Give a config.json of the text model alone: what is in text_config."
        raise error
    made, own = shape(fields), native_precision(fields)
    weights = sum(file.stat().st_size for file in path.parent.glob("*.safetensors"))
    return Model(name, serve, str(path), made, own, on_disk=weights)


def _json(path: Path) -> dict[str, Any]:
    hint = "Give a model's config.json, or the folder that holds it."
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is too large for a configuration", hint)
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}", hint) from None
    if not isinstance(data, dict):
        raise UsageError(f"{path} holds no JSON object", hint)
    return data


def _unknown(name: str) -> UsageError:
    if Path(name).expanduser().exists():
        return UsageError(
            f"{name} is no configuration",
            "Give a model's config.json, or the folder that holds it.",
        )
    near = difflib.get_close_matches(name.lower(), KNOWN, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return UsageError(
        f"no model {name!r} is known, or on this machine{meant}",
        "Give the path of its config.json, or one of these names: " + ", ".join(KNOWN),
    )
