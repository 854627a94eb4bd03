"""What a server says of itself: version, the model's context window, quantisation, its models.

Every fact is optional: a server that does not tell is used all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.models.base import ModelError
from agent.models.failures import KeyRefused, Refused, Transient, UnknownModel, Unreachable, shorten
from agent.models.stream import Stalled
from agent.models.transport import Transport

#: Seconds for a list or a version, and for a server that has to load a model first.
QUICK = 5.0
LOADING = 300.0
#: No window, and no size of a model in bytes, is larger than this; what is was made up.
_MOST = 1 << 50
#: Characters of a version or of a model's name.
_LONGEST = 200


@dataclass(frozen=True)
class Facts:
    """`models` are the names that the server lists, in its order.

    `context_window` is what a request may fill, `model_window` what the model could have;
    `window_is_chosen` says that the model's own file at the server sets the former. `spilled` is
    the share of the loaded model that lies in main memory beside a GPU, None where not told.
    """

    models: tuple[str, ...] = ()
    server: str = ""
    server_version: str = ""
    context_window: int | None = None
    quantisation: str = ""
    model_window: int | None = None
    window_is_chosen: bool = False
    spilled: float | None = None


async def list_models(transport: Transport, seconds: float) -> list[Mapping[str, Any]]:
    """The server's own list, one table a model. Raises like `Transport.get_json`."""
    return model_entries(await transport.get_json(transport.endpoint.url("models"), seconds))


def model_entries(listed: object) -> list[Mapping[str, Any]]:
    """The entries of a `/v1/models` answer that have an id; none of what is no such answer."""
    data = listed.get("data") if isinstance(listed, dict) else None
    entries = data if isinstance(data, list) else []
    return [entry for entry in entries if _is_entry(entry)]


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and 0 < len(_text(entry, "id")) <= _LONGEST


async def ask(transport: Transport, model: str) -> Facts:
    """The facts on `model` at the server.

    Raises Unreachable or KeyRefused, shown to the user, when nothing answers at all, or nothing
    without another key.
    """
    listed = list_models(transport, QUICK)
    entries: Sequence[Mapping[str, Any]] = await optional(listed, KeyRefused) or ()
    entry: Mapping[str, Any] = next((entry for entry in entries if entry["id"] == model), {})
    kind = transport.profile.facts or _kind(entries, transport.software)
    if not kind and transport.profile.name == "openai" and not transport.endpoint.secure:
        kind = await _ollama_by_its_version(transport)
    details = await _DETAILS[kind](transport, model) if kind in _DETAILS else Facts()
    return replace(
        details,
        models=tuple(str(entry["id"]) for entry in entries),
        server=kind,
        context_window=details.context_window or positive(entry, "max_model_len"),
        model_window=details.model_window or positive(table(entry.get("meta")), "n_ctx_train"),
    )


#: Whom the servers name as the owner of their models.
_OWNERS = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llamacpp",
    "library": "ollama",
    "organization_owner": "lmstudio",
}


def _kind(entries: Sequence[Mapping[str, Any]], software: str) -> str:
    """The server's kind by whom it names as the owner of its models, or by the name it gives
    itself in its answers; empty when unknown."""
    owners = [str(entry.get("owned_by", "")) for entry in entries]
    known = (_OWNERS[owner] for owner in owners if owner in _OWNERS)
    return next(known, "llamacpp" if "llama.cpp" in software.lower() else "")


async def _ollama_by_its_version(transport: Transport) -> str:
    """Ollama names the owner of a model by who published it, which can be anybody."""
    address = f"{transport.endpoint.root}/api/version"
    version = table(await optional(transport.get_json(address, QUICK)))
    return "ollama" if version.keys() == {"version"} else ""


async def _ollama(transport: Transport, model: str) -> Facts:
    """Ollama cuts prompts at a window of its own choice, known only once the model is loaded."""
    root = transport.endpoint.root
    version = table(await optional(transport.get_json(f"{root}/api/version", QUICK)))
    loaded = await ollama_loaded(transport, model)
    if not loaded:
        load = transport.post_json(f"{root}/api/generate", {"model": model}, LOADING)
        await optional(load)
        loaded = await ollama_loaded(transport, model)
    show = transport.post_json(f"{root}/api/show", {"model": model}, QUICK)
    shown = table(await optional(show))
    size, in_gpu = positive(loaded, "size"), positive(loaded, "size_vram")
    return Facts(
        server_version=_short(version, "version"),
        context_window=positive(loaded, "context_length"),
        quantisation=_short(table(loaded.get("details")), "quantization_level"),
        model_window=_trained_window(table(shown.get("model_info"))),
        window_is_chosen="num_ctx" in _text(shown, "parameters").split(),
        spilled=1 - in_gpu / size if size and in_gpu else None,
    )


def _trained_window(model_info: Mapping[str, Any]) -> int | None:
    """The window of a model as its file has it, under its architecture's name."""
    names = (name for name in model_info if name.endswith(".context_length"))
    return next((positive(model_info, name) for name in names), None)


async def ollama_loaded(transport: Transport, model: str) -> Mapping[str, Any]:
    """What Ollama says of the model in its memory; empty where it is not there."""
    answer = await optional(transport.get_json(f"{transport.endpoint.root}/api/ps", QUICK))
    models = table(answer).get("models")
    for entry in models if isinstance(models, list) else ():
        names = {_text(table(entry), "name"), _text(table(entry), "model")}
        if names & {model, f"{model}:latest"}:
            return table(entry)
    return {}


async def _vllm(transport: Transport, _model: str) -> Facts:
    address = f"{transport.endpoint.root}/version"
    version = table(await optional(transport.get_json(address, QUICK)))
    return Facts(server_version=_short(version, "version"))


async def _sglang(transport: Transport, _model: str) -> Facts:
    root = transport.endpoint.root
    told = table(await optional(transport.get_json(f"{root}/server_info", QUICK)))
    if not told:  # its name in older releases
        told = table(await optional(transport.get_json(f"{root}/get_server_info", QUICK)))
    return Facts(
        server_version=_short(told, "version"), context_window=positive(told, "context_length")
    )


async def _llamacpp(transport: Transport, _model: str) -> Facts:
    props = table(await optional(transport.get_json(f"{transport.endpoint.root}/props", QUICK)))
    settings = table(props.get("default_generation_settings"))
    return Facts(
        server_version=_short(props, "build_info"),
        context_window=positive(settings, "n_ctx") or positive(props, "n_ctx"),
    )


async def _lmstudio(transport: Transport, model: str) -> Facts:
    address = f"{transport.endpoint.root}/api/v0/models"
    entries = model_entries(await optional(transport.get_json(address, QUICK)))
    entry: Mapping[str, Any] = next((entry for entry in entries if entry["id"] == model), {})
    return Facts(
        context_window=positive(entry, "loaded_context_length"),
        model_window=positive(entry, "max_context_length"),
        quantisation=_short(entry, "quantization"),
    )


_DETAILS = {
    "ollama": _ollama,
    "vllm": _vllm,
    "sglang": _sglang,
    "llamacpp": _llamacpp,
    "lmstudio": _lmstudio,
}


async def optional(request: Any, *fatal: type[ModelError]) -> Any:
    """The answer to `request`, or None from a server that has no such answer. Raises Unreachable,
    and what else is `fatal`."""
    try:
        return await request
    except Unreachable:
        raise
    except fatal:
        raise
    except (ModelError, Transient, Refused, UnknownModel, Stalled):
        # A key may be barred from lists, a proxy may serve one route only: the turn itself decides.
        return None


def table(data: object) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _short(data: Mapping[str, Any], name: str) -> str:
    return shorten(_text(data, name), _LONGEST)


def positive(data: Mapping[str, Any], name: str) -> int | None:
    """The positive whole number under `name`, None where there is none."""
    value = data.get(name)
    known = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST
    return value if isinstance(value, int) and known else None
