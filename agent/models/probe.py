"""What a server says of itself: version, the model's context window, quantisation, its models.

Every fact is optional: a server that does not tell is used all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.models.base import ModelError
from agent.models.failures import Refused, Transient, UnknownModel, Unreachable
from agent.models.stream import Stalled
from agent.models.transport import Transport

#: Seconds for a list or a version, and for a server that has to load a model first.
QUICK = 5.0
_LOADING = 300.0


@dataclass(frozen=True)
class Facts:
    """`models` are the names that the server lists, in its order."""

    models: tuple[str, ...] = ()
    server: str = ""
    server_version: str = ""
    context_window: int | None = None
    quantisation: str = ""


async def list_models(transport: Transport, seconds: float) -> list[Mapping[str, Any]]:
    """The server's own list, one table a model. Raises like `Transport.get_json`."""
    return model_entries(await transport.get_json(transport.endpoint.url("models"), seconds))


def model_entries(listed: object) -> list[Mapping[str, Any]]:
    """The entries of a `/v1/models` answer that have an id; none of what is no such answer."""
    data = listed.get("data") if isinstance(listed, dict) else None
    entries = data if isinstance(data, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and _text(entry, "id")]


async def ask(transport: Transport, model: str) -> Facts:
    """The facts on `model` at the server.

    Raises Unreachable, shown to the user, when nothing answers at all.
    """
    entries: Sequence[Mapping[str, Any]] = await _optional(list_models(transport, QUICK)) or ()
    entry: Mapping[str, Any] = next((entry for entry in entries if entry["id"] == model), {})
    kind = transport.profile.facts or _kind(entries)
    details = await _DETAILS[kind](transport, model) if kind in _DETAILS else Facts()
    return Facts(
        models=tuple(str(entry["id"]) for entry in entries),
        server=kind,
        server_version=details.server_version,
        context_window=details.context_window or _number(entry, "max_model_len"),
        quantisation=details.quantisation,
    )


def _kind(entries: Sequence[Mapping[str, Any]]) -> str:
    """The server's kind by whom it names as the owner of its models; empty when unknown."""
    owners = {str(entry.get("owned_by", "")) for entry in entries}
    return "vllm" if "vllm" in owners else "llamacpp" if "llamacpp" in owners else ""


async def _ollama(transport: Transport, model: str) -> Facts:
    """Ollama cuts prompts at a window of its own choice, known only once the model is loaded."""
    root = transport.endpoint.root
    version = _table(await _optional(transport.get_json(f"{root}/api/version", QUICK)))
    loaded = await _ollama_loaded(transport, model)
    if not loaded:
        load = transport.post_json(f"{root}/api/generate", {"model": model}, _LOADING)
        await _optional(load)
        loaded = await _ollama_loaded(transport, model)
    return Facts(
        server_version=_text(version, "version"),
        context_window=_number(loaded, "context_length"),
        quantisation=_text(_table(loaded.get("details")), "quantization_level"),
    )


async def _ollama_loaded(transport: Transport, model: str) -> Mapping[str, Any]:
    answer = await _optional(transport.get_json(f"{transport.endpoint.root}/api/ps", QUICK))
    models = _table(answer).get("models")
    for entry in models if isinstance(models, list) else ():
        names = {_text(_table(entry), "name"), _text(_table(entry), "model")}
        if names & {model, f"{model}:latest"}:
            return _table(entry)
    return {}


async def _vllm(transport: Transport, _model: str) -> Facts:
    address = f"{transport.endpoint.root}/version"
    version = _table(await _optional(transport.get_json(address, QUICK)))
    return Facts(server_version=_text(version, "version"))


async def _llamacpp(transport: Transport, _model: str) -> Facts:
    props = _table(await _optional(transport.get_json(f"{transport.endpoint.root}/props", QUICK)))
    settings = _table(props.get("default_generation_settings"))
    return Facts(
        server_version=_text(props, "build_info"),
        context_window=_number(settings, "n_ctx") or _number(props, "n_ctx"),
    )


async def _lmstudio(transport: Transport, model: str) -> Facts:
    address = f"{transport.endpoint.root}/api/v0/models"
    entries = model_entries(await _optional(transport.get_json(address, QUICK)))
    entry: Mapping[str, Any] = next((entry for entry in entries if entry["id"] == model), {})
    return Facts(
        context_window=_number(entry, "loaded_context_length"),
        quantisation=_text(entry, "quantization"),
    )


_DETAILS = {"ollama": _ollama, "vllm": _vllm, "llamacpp": _llamacpp, "lmstudio": _lmstudio}


async def _optional(request: Any) -> Any:
    """The answer to `request`, or None from a server that has no such answer."""
    try:
        return await request
    except Unreachable:
        raise
    except (ModelError, Transient, Refused, UnknownModel, Stalled):
        # A key may be barred from lists, a proxy may serve one route only: the turn itself decides.
        return None


def _table(data: object) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _number(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
