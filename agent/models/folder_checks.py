"""What a model's folder says of itself, checked before a library is given it.

A folder comes from anywhere. Its numbers make libraries build and loop, and what makes no sense in
it shows much later as an error that names nothing.
"""

import json
import math
from pathlib import Path
from typing import Any

from sandbox.errors import SetupError

#: A configuration is some kilobytes.
_MOST_BYTES = 4 << 20
#: Beyond these no number of a model's shape is in earnest; layers are built one by one.
_MOST, _MOST_LAYERS = 1 << 32, 4096
_SHAPE = ("hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings")
_HINT = "Get the model's files anew, or take another model."


def check_config(name: str, path: Path) -> None:
    """Raises SetupError, shown to the user, for a config.json that cannot be in earnest."""
    try:
        data = json.loads(path.read_bytes()) if path.stat().st_size <= _MOST_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise SetupError(
            f"the model {name} cannot be used: {path} is no JSON: {str(error)[:200]}", _HINT
        ) from error
    if not isinstance(data, dict):
        raise _wrong(name, "config.json", "it holds no configuration")
    if not isinstance(data.get("quantization_config", {}), dict | None):
        raise _wrong(name, "config.json", "quantization_config is no table")
    for field in ("num_hidden_layers", *_SHAPE):
        value = data.get(field)
        most = _MOST_LAYERS if field == "num_hidden_layers" else _MOST
        if value is not None and not _is_whole(value, 1, most):
            raise _wrong(name, "config.json", f"{field} is {value!r:.60}")


def check_generation(name: str, generation: Any) -> None:
    """Raises SetupError, shown to the user, where a generation configuration of transformers has
    values that cannot be sampled with, or stop tokens that are none."""
    for field, least, most in (
        ("temperature", 0, math.inf),
        ("top_p", 0, math.inf),
        ("min_p", 0, 1),
        ("repetition_penalty", 0, math.inf),
    ):
        value = getattr(generation, field, None)
        if value is not None and not (_is_number(value) and least <= value <= most):
            raise _wrong(name, "generation_config.json", f"{field} is {value!r:.60}")
    top_k = getattr(generation, "top_k", None)
    if top_k is not None and not _is_whole(top_k, 0, _MOST):
        raise _wrong(name, "generation_config.json", f"top_k is {top_k!r:.60}")
    stops = getattr(generation, "eos_token_id", None)
    for stop in stops if isinstance(stops, list) else [stops]:
        if stop is not None and not _is_whole(stop, 0, _MOST - 1):
            raise _wrong(name, "generation_config.json", f"eos_token_id is {stops!r:.60}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _wrong(name: str, file: str, what: str) -> SetupError:
    return SetupError(f"the model {name} cannot be used: in its {file} {what}", _HINT)
