"""The servers we know by name: where they usually listen, how they differ, how to start them."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from sandbox.errors import UsageError

ReasoningField = Literal["reasoning", "reasoning_content"]
LimitField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True)
class Profile:
    """One kind of server, all of which speak OpenAI's chat interface with an accent.

    `reasoning` is the message field in which it takes earlier reasoning back (None: the one in
    which it was seen to give it). `facts` names the interface that tells version and context
    window (see `agent.models.probe`). `truncates`: a prompt that is too long is cut without a word.
    `strict_tools`: it holds a call to the schema of a tool that is marked strict. `names`: whether
    it has the models that it lists and no other, may have more (as routers and aliases do), or
    answers to any name with the one that it has loaded.
    """

    name: str
    title: str
    address: str
    start: str
    get_model: str
    reasoning: ReasoningField | None = None
    facts: Literal["", "ollama", "vllm", "sglang", "llamacpp", "lmstudio"] = ""
    truncates: bool = False
    strict_tools: bool = False
    names: Literal["listed", "more", "any"] = "more"


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="openai",
            title="OpenAI",
            address="https://api.openai.com/v1",
            start="Start the server, or check the network.",
            get_model="Check the name, and that the key may use it.",
        ),
        Profile(
            name="ollama",
            title="Ollama",
            address="http://127.0.0.1:11434/v1",
            start="Start it with `ollama serve`.",
            get_model="Get it with `ollama pull {model}`.",
            reasoning="reasoning",
            facts="ollama",
            truncates=True,
            names="listed",
        ),
        Profile(
            name="vllm",
            title="vLLM",
            address="http://127.0.0.1:8000/v1",
            start="Start it with `vllm serve MODEL --enable-auto-tool-choice"
            " --tool-call-parser PARSER`.",
            get_model="Serve it with `vllm serve {model}`.",
            reasoning="reasoning",
            facts="vllm",
            strict_tools=True,
            names="listed",
        ),
        Profile(
            name="sglang",
            title="SGLang",
            address="http://127.0.0.1:30000/v1",
            start="Start it with `python -m sglang.launch_server --model-path MODEL"
            " --tool-call-parser PARSER --reasoning-parser PARSER`.",
            get_model="Serve it with `python -m sglang.launch_server --model-path {model}`.",
            reasoning="reasoning_content",
            facts="sglang",
        ),
        Profile(
            name="llamacpp",
            title="llama.cpp",
            address="http://127.0.0.1:8080/v1",
            start="Start it with `llama-server --jinja -m MODEL.gguf`.",
            get_model="Serve it with `llama-server --jinja -m {model}`.",
            reasoning="reasoning_content",
            facts="llamacpp",
            names="any",
        ),
        Profile(
            name="lmstudio",
            title="LM Studio",
            address="http://127.0.0.1:1234/v1",
            start="Start it with `lms server start`.",
            get_model="Load it with `lms load {model}`.",
            facts="lmstudio",
        ),
        Profile(
            name="mlx",
            title="mlx-lm",
            address="http://127.0.0.1:8080/v1",
            start="Start it with `mlx_lm.server --model MODEL`.",
            get_model="Serve it with `mlx_lm.server --model {model}`.",
            reasoning="reasoning",
        ),
    )
}


@dataclass(frozen=True)
class Endpoint:
    """Where a server is. `base` and `root` hold no credentials; those are in `login`.

    `base` is the address of the interface (`http://127.0.0.1:8000/v1`), `root` that of the server.
    `loopback` is true when the address cannot leave this machine.
    """

    base: str
    root: str
    loopback: bool
    query: str = ""
    login: tuple[str, str] | None = field(default=None, repr=False)

    def url(self, path: str) -> str:
        """The full address of `path`, for example `chat/completions`."""
        return f"{self.base}/{path}{self.query}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of the address is nobody else's business, as it may be repeated: the password, and
        the values of its query."""
        values = [value for pairs in parse_qs(self.query[1:]).values() for value in pairs]
        written = [pair.partition("=")[2] for pair in self.query[1:].split("&")]
        return (*(self.login[1:] if self.login else ()), *values, *written)

    @property
    def secure(self) -> bool:
        return self.base.startswith("https:")


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that a user meant: `/v1` is added to a bare host, a route is cut off.

    Raises UsageError, shown to the user, for what is no http address.
    """
    whole = text.strip()
    if "://" not in whole and is_loopback(_split(f"http://{whole}", text).hostname or ""):
        whole = f"http://{whole}"
    parts = _split(whole, text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(
            f"not the address of a model server: {_without_login(text)}",
            "Write it as http://HOST:PORT/v1 or https://HOST/v1.",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    root = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    path = parts.path.rstrip("/")
    for route in ("/chat/completions", "/completions", "/models"):
        path = path.removesuffix(route)
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return Endpoint(
        base=root + (path or "/v1"),
        root=root,
        loopback=is_loopback(parts.hostname),
        query=f"?{parts.query}" if parts.query else "",
        login=login,
    )


class _Parts:
    """An address taken apart; asking for a bad port already raised."""

    def __init__(self, text: str) -> None:
        parts = urlsplit(text)
        self.scheme, self.path, self.query = parts.scheme.lower(), parts.path, parts.query
        self.hostname, self.port = parts.hostname, parts.port
        self.username, self.password = parts.username, parts.password


def _split(whole: str, text: str) -> _Parts:
    try:
        return _Parts(whole)
    except ValueError as problem:
        raise UsageError(
            f"not the address of a model server: {_without_login(text)} ({problem})",
            "Write it as http://HOST:PORT/v1 or https://HOST/v1.",
        ) from None


def _without_login(text: str) -> str:
    return text.rpartition("@")[2]


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def usual_address(profile: Profile, environment: Mapping[str, str]) -> str:
    """Where `profile` listens when nobody said: as the environment tells its own tools, or usual.

    `OPENAI_BASE_URL` counts for OpenAI, `OLLAMA_HOST` for Ollama; the latter may be a host, a port
    or both, and an address to listen on (0.0.0.0) means this machine.
    """
    if profile.name == "openai":
        return environment.get("OPENAI_BASE_URL", "").strip() or profile.address
    host = environment.get("OLLAMA_HOST", "").strip() if profile.name == "ollama" else ""
    if not host:
        return profile.address
    whole = host if "://" in host else f"http://{'127.0.0.1' if host[0] == ':' else ''}{host}"
    parts = _split(whole, host)
    name = parts.hostname or ""
    if _is_unspecified(name):
        name = "127.0.0.1"
    # A scheme brings its own default port with it; a bare host means Ollama's.
    port = parts.port or (11434 if "://" not in host else None)
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
