"""Which models are here: servers that answer on this machine, weights in the cache, the embedded
one. Nothing beyond this machine is ever asked, unless the user configured its address.
"""

import asyncio
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.models.base import ModelError
from agent.models.extra import missing_packages
from agent.models.secret import Secret
from agent.models.servers import PROFILES, Endpoint, Profile, parse_endpoint, usual_address
from agent.models.settings import ModelSettings
from agent.models.weights import find_embedded
from sandbox.errors import UsageError

_DEFAULTS = ModelSettings()
#: Seconds for a server on this machine to take a connection and list its models.
_PATIENCE = 1.0
#: The variable that usually holds a key.
KEY_VARIABLE = "OPENAI_API_KEY"
#: Parts of the names of models that cannot chat.
_NOT_FOR_CHAT = ("embed", "rerank", "whisper", "tts", "moderation", "dall-e", "clip", "bge-")
#: Architectures of weights that can, by the end of their name.
_CHAT_ARCHITECTURES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


@dataclass(frozen=True)
class FoundServer:
    """A server that answered. `profile` and a name make the model's name, as in `ollama:qwen3`.

    `models` are the names it lists that may be able to chat; `problem` is why there are none.
    """

    profile: str
    address: str
    models: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class CachedModel:
    """Whole weights in the Hugging Face cache: repository, revision, folder, size in bytes."""

    name: str
    revision: str
    folder: Path
    size: int
    architecture: str


@dataclass(frozen=True)
class Found:
    """All that is here. `local_packages`: torch and transformers are installed, so that weights can
    be run. `key_variable` names the variable that holds a key, empty when none does."""

    servers: tuple[FoundServer, ...] = ()
    cached: tuple[CachedModel, ...] = ()
    embedded: Path | None = None
    local_packages: bool = False
    key_variable: str = ""

    def choice(self) -> str | None:
        """The name of the model to use when the user named none; None when nothing is here.

        A local server first, then cached weights that can run; a gpt-oss before others. Never the
        embedded model nor a paid service: those have to be named.
        """
        names = [f"{server.profile}:{name}" for server in self.servers for name in server.models]
        if self.local_packages:
            names += [f"hf:{model.name}" for model in self.cached]
        return min(names, key=_preference, default=None)


def _preference(name: str) -> int:
    kind = 0 if not name.startswith("hf:") else 2
    return kind + ("gpt-oss" not in name.lower())


async def discover(
    environment: Mapping[str, str] = os.environ, settings: ModelSettings = _DEFAULTS
) -> Found:
    """Looks everywhere at once; takes about a second at most.

    Where the user configured a server's address, that one is asked, wherever it is, and no other.
    """
    return Found(
        servers=await _servers(environment, settings),
        cached=tuple(cached_models(hub_cache(environment))),
        embedded=embedded_weights(),
        local_packages=not missing_packages(),
        key_variable=KEY_VARIABLE if environment.get(KEY_VARIABLE, "").strip() else "",
    )


async def _servers(
    environment: Mapping[str, str], settings: ModelSettings
) -> tuple[FoundServer, ...]:
    if settings.base_url:
        secret = Secret(settings.key_variable or KEY_VARIABLE, environment)
        asked = [_ask(PROFILES["openai"], parse_endpoint(settings.base_url), secret)]
    else:
        none = Secret("", {})
        asked = [_ask(profile, endpoint, none) for profile, endpoint in _local(environment)]
    return tuple(server for server in await asyncio.gather(*asked) if server is not None)


def _local(environment: Mapping[str, str]) -> Iterable[tuple[Profile, Endpoint]]:
    """The usual addresses on this machine, each once; a server of a known kind before `openai`."""
    known: dict[str, tuple[Profile, Endpoint]] = {}
    for profile in PROFILES.values():
        try:
            endpoint = parse_endpoint(usual_address(profile, environment))
        except UsageError:
            # A bad OLLAMA_HOST concerns those who ask for Ollama; they are told.
            continue
        earlier = known.get(endpoint.base)
        if endpoint.loopback and (earlier is None or earlier[0].name == "openai"):
            known[endpoint.base] = (profile, endpoint)
    return known.values()


async def _ask(profile: Profile, endpoint: Endpoint, secret: Secret) -> FoundServer | None:
    """The server at `endpoint`, or None where nothing of the kind answers.

    Anything may listen at a usual address, so whatever is no list of models in time is passed over
    there; of an address that the user configured it is said.
    """
    # Imported here: the cached weights alone need no HTTP client.
    from agent.models.failures import (  # noqa: PLC0415
        KeyRefused,
        Refused,
        Transient,
        UnknownModel,
    )
    from agent.models.probe import list_models  # noqa: PLC0415
    from agent.models.stream import Stalled  # noqa: PLC0415
    from agent.models.transport import Transport  # noqa: PLC0415

    transport = Transport(profile, endpoint, secret, _DEFAULTS)
    configured = profile.name == "openai"
    try:
        entries = await list_models(transport, _PATIENCE)
    except (ModelError, Refused, Stalled, Transient, UnknownModel) as problem:
        if not configured and not isinstance(problem, KeyRefused):
            return None
        said = str(problem).replace("\n", ". ") or "no answer in time"
        return FoundServer(profile.name, endpoint.base, (), said)
    finally:
        await transport.close()
    if not entries and not configured:
        return None
    kind = _kind(profile, entries, transport.software)
    names = (str(entry["id"]) for entry in entries)
    return FoundServer(kind, endpoint.base, tuple(name for name in names if _may_chat(name)))


def _kind(profile: Profile, entries: Iterable[Mapping[str, Any]], server: str) -> str:
    """llama.cpp and mlx-lm share a port: their own words tell which it is."""
    if profile.name not in {"llamacpp", "mlx"}:
        return profile.name
    owners = {str(entry.get("owned_by", "")).lower() for entry in entries}
    return "llamacpp" if "llamacpp" in owners or "llama.cpp" in server.lower() else "mlx"


def _may_chat(name: str) -> bool:
    return not any(part in name.lower() for part in _NOT_FOR_CHAT)


def hub_cache(environment: Mapping[str, str]) -> Path:
    """The Hugging Face cache folder, as its own library finds it."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(variable):
            return Path(environment[variable]).expanduser()
    home = environment.get("HF_HOME", "")
    if home:
        return Path(home).expanduser() / "hub"
    cache = environment.get("XDG_CACHE_HOME", "") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "hub"


def cached_models(cache: Path) -> list[CachedModel]:
    """Models in `cache` whose weights are whole and that can chat, by name."""
    if not cache.is_dir():
        return []
    found = (_cached(folder) for folder in sorted(cache.glob("models--*")))
    return [model for model in found if model is not None]


def _cached(folder: Path) -> CachedModel | None:
    snapshot = _snapshot(folder)
    config = _json_table(snapshot / "config.json") if snapshot else {}
    architectures = config.get("architectures")
    if snapshot is None or not isinstance(architectures, list) or not architectures:
        return None
    architecture = str(architectures[0])
    weights = _weights(snapshot)
    if not architecture.endswith(_CHAT_ARCHITECTURES) or not weights or not _has_template(snapshot):
        return None
    return CachedModel(
        name=folder.name.removeprefix("models--").replace("--", "/", 1),
        revision=snapshot.name,
        folder=snapshot,
        size=sum(path.stat().st_size for path in weights),
        architecture=architecture,
    )


def _snapshot(folder: Path) -> Path | None:
    """The snapshot that `main` means, else the newest one."""
    try:
        named = folder / "snapshots" / (folder / "refs" / "main").read_text("utf-8").strip()
    except (OSError, ValueError):
        named = folder
    if named.parent.name == "snapshots" and named.is_dir():
        return named
    try:
        return max((folder / "snapshots").iterdir(), key=lambda path: path.stat().st_mtime)
    except (OSError, ValueError):
        return None


def _weights(snapshot: Path) -> list[Path]:
    """The files of the weights; none unless every one is there, which an aborted download lacks."""
    index = _json_table(snapshot / "model.safetensors.index.json").get("weight_map")
    names = set(index.values()) if isinstance(index, dict) else {"model.safetensors"}
    paths = [snapshot / str(name) for name in sorted(map(str, names))]
    return paths if all(path.is_file() for path in paths) else []


def _has_template(snapshot: Path) -> bool:
    if (snapshot / "chat_template.jinja").is_file():
        return True
    return bool(_json_table(snapshot / "tokenizer_config.json").get("chat_template"))


def _json_table(path: Path) -> Mapping[str, Any]:
    """The JSON object in `path`, empty where there is none: a cache may hold anything."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def embedded_weights() -> Path | None:
    """The embedded model's weights file, found without importing the package that carries it."""
    return find_embedded()
