"""Every setting there is: its type, its default, and what a repository's own file may do with it.

One table serves the configuration files, the environment, the flags, `greenroom config` and
`greenroom init`, so that none of them can know a key that another does not.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "list", "integer", "number", "size"]
#: What a repository's file may do before the user trusts it: set it, only lower it, or nothing;
#: "user" is nothing even when it is trusted.
Reach = Literal["free", "lower", "guarded", "user"]
Value = str | tuple[str, ...] | int | float | None


@dataclass(frozen=True)
class Key:
    name: str
    kind: Kind
    default: Value
    reach: Reach
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    #: What a written settings file shows where there is no default, and errors as the right form.
    example: Value = None
    #: What stands between the items of a list that is written as text.
    separator: str = ","
    #: Whether one flag may hold several of a list, for a comma can be in none of them.
    commas: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "GREENROOM_" + self.name.upper()


KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        Key("model", "text", None, "guarded", "model to use, e.g. openai:NAME, embedded",
            example="ollama:gpt-oss:20b"),
        Key("base_url", "text", None, "guarded", "address of an OpenAI-compatible server",
            example="http://127.0.0.1:8000/v1"),
        Key("api_key_variable", "text", None, "guarded", "name of the variable with the key",
            example="OPENAI_API_KEY"),
        Key("protocol", "text", "auto", "free", "raw: gpt-oss in its own tokens; or chat",
            choices=("auto", "raw", "chat")),
        Key("vllm_args", "list", (), "guarded", "arguments of vllm-engine, NAME=VALUE",
            separator="\n"),
        Key("context_window", "integer", None, "guarded", "tokens that the model takes, e.g. 32k",
            minimum=512, example=131072),
        Key("context_high", "number", 0.9, "guarded",
            "share of the window, less the answer, at which old turns are cut", minimum=0.2),
        Key("context_low", "number", 0.5, "guarded", "share that they are cut to", minimum=0.1),
        Key("model_timeout", "number", 600.0, "lower", "seconds to a turn's first token",
            minimum=1),
        Key("precision", "text", "auto", "guarded", "of weights in this process",
            choices=("auto", "bf16", "fp16", "mxfp4", "int8", "int4")),
        Key("device_map", "text", "auto", "guarded",
            "where such weights go: auto, cpu, cuda, cuda:1..."),
        Key("cache_limit", "size", None, "guarded", "memory of such a model's KV caches",
            minimum=1 << 20, example=8 << 30),
        Key("grammar", "text", "auto", "guarded", "hold such a model's turns to a grammar",
            choices=("auto", "off")),
        Key("price_input", "number", None, "guarded", "US dollars per million input tokens",
            minimum=0, example=0.5),
        Key("price_output", "number", None, "guarded", "US dollars per million output tokens",
            minimum=0, example=2.0),
        Key("test_cmd", "text", None, "free", "command that runs the tests",
            example="python3 -m pytest"),
        Key("quick_test_cmd", "text", None, "free", "faster tests for the inner loop",
            example="python3 -m pytest tests/unit"),
        Key("lint_cmd", "text", None, "free", "further gate: must exit with 0",
            example="ruff check ."),
        Key("rebuild", "text", None, "free", "command that prepares the tree for its tests",
            example="make generated"),
        Key("exclude", "list", (), "free", "globs of files to leave out of the sandbox",
            example=("data/",)),
        Key("protected", "list", (), "free", "globs of further files a patch may not change",
            example=("golden/*.json",)),
        Key("allow", "list", (), "guarded", "globs of protected files a patch may change",
            example=("tests/helpers.py",)),
        Key("include", "list", (), "guarded", "globs of ignored files to copy into the sandbox",
            example=("settings.local.json",)),
        Key("image", "text", None, "guarded", "container image to work in, instead of our own",
            example="python:3.13-slim"),
        Key("dockerfile", "text", None, "guarded", "Dockerfile in the checkout, to build the image",
            example=".devcontainer/Dockerfile"),
        Key("python", "text", None, "guarded", "Python of the image, e.g. 3.12", example="3.12"),
        Key("apt", "list", (), "guarded", "Debian packages to add to the image", commas=True,
            example=("jq", "tree")),
        Key("pip", "list", (), "guarded", "Python requirements to add to the image",
            example=("requests>=2.31", "rich")),
        Key("setup", "list", (), "guarded", "commands run while the image is built",
            example=("make deps",)),
        Key("build_network", "text", "bridge", "guarded", "network of Dockerfiles' steps",
            choices=("bridge", "host")),
        Key("build_places", "list", (), "guarded", "places that image builds may reach, NAME:PORT",
            commas=True, example=("git.example.org:443",)),
        Key("ca_bundle", "text", None, "guarded", "certificates that image builds trust",
            example="/etc/ssl/certs/ca-certificates.crt"),
        Key("network", "list", (), "guarded", "places the sandbox may reach, as NAME:PORT",
            commas=True, example=("packages.example.org:443",)),
        Key("network_limit", "size", 1 << 30, "lower", "bytes exchanged with those places",
            minimum=1 << 10),
        Key("apt_mirror", "text", None, "guarded", "address in the place of Debian's and Ubuntu's",
            example="https://mirror.example.org"),
        Key("index_url_variable", "text", None, "guarded",
            "variable with the Python index's address and login", example="MY_INDEX_URL"),
        Key("npm_token_variable", "text", None, "guarded",
            "variable with the token for the npm registry", example="NPM_TOKEN"),
        Key("image_budget", "size", 20 << 30, "user", "disk that images of ours may take",
            minimum=0),
        Key("turn_limit", "integer", 50, "lower", "turns of the model", minimum=1),
        Key("token_limit", "integer", 2_000_000, "lower", "tokens in and out, together", minimum=1),
        Key("time_limit", "number", 3600.0, "lower", "seconds for the whole attempt", minimum=1),
        Key("cost_limit", "number", None, "lower", "US dollars; needs a model of known price",
            minimum=0, example=5.0),
        Key("toolset", "text", "auto", "free", "tools as the model knows them best, or by name",
            choices=("auto", "generic", "gpt-oss")),
        Key("candidates", "integer", None, "guarded", "alternatives tried per turn",
            minimum=1, example=4),
        Key("test_timeout", "number", 600.0, "lower",
            "seconds for one run of the tests, or of `rebuild`", minimum=1),
        Key("command_timeout", "number", 120.0, "lower", "seconds for one shell command",
            minimum=1),
        Key("memory", "size", 2 << 30, "lower", "memory of the sandbox, e.g. 2G", minimum=64 << 20),
        Key("workspace_size", "size", 512 << 20, "lower", "bound of the workspace, e.g. 512M",
            minimum=1 << 20),
        Key("cpus", "number", 2.0, "lower", "processor cores of the sandbox", minimum=0.1),
        Key("pids", "integer", 256, "lower", "processes and threads in the sandbox", minimum=16),
        Key("preset", "text", "strict", "guarded", "compat: root inside, a writable image",
            choices=("strict", "compat")),
        Key("workspace", "text", "memory", "guarded", "disk: for trees too large; no bound on size",
            choices=("memory", "disk")),
        Key("isolation", "text", "container", "guarded", "gvisor: a kernel of its own, by runsc",
            choices=("container", "gvisor")),
        Key("background", "integer", 0, "lower", "commands that may run on after their start",
            minimum=0),
        Key("warm", "integer", 1, "lower", "clean rooms kept ready while the model works",
            minimum=0),
        Key("tool_calls", "text", "server", "free", "text: tools and calls are put in words",
            choices=("server", "text")),
        Key("reasoning_effort", "text", None, "free", "how long to think",
            choices=("low", "medium", "high"), example="medium"),
        Key("reasoning_limit", "integer", None, "lower", "tokens of reasoning in one turn",
            minimum=1, example=16000),
        Key("reasoning_total", "integer", None, "lower", "tokens of reasoning in the attempt",
            minimum=1, example=400000),
        Key("reasoning_loops", "text", "cut", "guarded", "reasoning that goes in circles",
            choices=("cut", "keep")),
        Key("reasoning_patterns", "list", (), "guarded", "regular expressions that cut reasoning",
            separator="\n"),
        Key("malformed_retries", "integer", None, "guarded", "tries more for a malformed turn",
            minimum=0, example=10),
        Key("temperature", "number", None, "free", "sampling temperature", minimum=0, example=1.0),
        Key("top_p", "number", None, "free", "nucleus sampling", minimum=0, example=1.0),
        Key("max_output_tokens", "integer", None, "lower", "output tokens of one turn",
            minimum=1, example=16000),
        Key("seed", "integer", None, "free", "seed of sampling", minimum=0, example=1),
    )
}  # fmt: skip

#: The keys by subject, as the commands offer them as flags.
MODEL = (
    "model",
    "base_url",
    "api_key_variable",
    "protocol",
    "vllm_args",
    "context_window",
    "context_high",
    "context_low",
    "model_timeout",
    "precision",
    "device_map",
    "cache_limit",
    "grammar",
    "tool_calls",
    "price_input",
    "price_output",
    "candidates",
)
SAMPLING = (
    "reasoning_effort",
    "temperature",
    "top_p",
    "max_output_tokens",
    "seed",
    "malformed_retries",
)
REASONING = ("reasoning_limit", "reasoning_total", "reasoning_loops", "reasoning_patterns")
LIMITS = ("turn_limit", "token_limit", "time_limit", "cost_limit")
CHECKS = ("test_cmd", "quick_test_cmd", "lint_cmd", "rebuild", "protected", "allow")
#: What an image is made of.
IMAGE = ("image", "dockerfile", "python", "apt", "pip")
SANDBOX = (
    "include",
    "exclude",
    "network",
    *IMAGE,
    "test_timeout",
    "command_timeout",
    "memory",
    "cpus",
    "pids",
    "workspace_size",
    "preset",
    "workspace",
    "isolation",
)

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class BadValue(ValueError):
    """A value that does not fit its key; the text says what was expected and what came."""


def parse_size(text: str) -> int:
    """Bytes of `512M`, `2G`, `2GiB` or a plain number. Raises BadValue."""
    bare = text.strip().upper().removesuffix("IB").removesuffix("B")
    unit = bare[-1:] if bare[-1:] in _UNITS else ""
    try:
        size = float(bare.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        raise BadValue(f"expected a size such as 512M or 2G, got {text!r}") from None
    if not math.isfinite(size):
        raise BadValue(f"expected a finite size, got {text!r}")
    return int(size)


def split(key: Key, text: str) -> list[str]:
    """The parts of a list that is written as text."""
    return [part.strip() for part in text.split(key.separator) if part.strip()]


def parse_text(key: Key, text: str) -> Value:
    """The value of `key` written as text, in a variable or a flag. Raises BadValue."""
    match key.kind:
        case "text":
            return check(key, text)
        case "list":
            return check(key, tuple(split(key, text)))
        case "size":
            return check(key, parse_size(text))
        case "integer" | "number":
            try:
                if key.name == "context_window" and text[-1:] in ("k", "K"):
                    return check(key, int(text[:-1]) * 1024)  # as `greenroom plan` takes it
                return check(key, int(text) if key.kind == "integer" else float(text))
            except ValueError as problem:
                if isinstance(problem, BadValue):
                    raise
                raise BadValue(f"expected a {_noun(key)}, got {text!r}") from None


#: Exact types: in Python a boolean is an integer too, in TOML it is not.
_TOML_TYPES: Mapping[Kind, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "size": (int,),
    "number": (int, float),
}


def from_toml(key: Key, value: object) -> Value:
    """The value of `key` as TOML gives it. Raises BadValue."""
    if key.kind == "list":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadValue(f"expected a list of strings, got {value!r}")
        return check(key, tuple(value))
    if key.kind == "size" and isinstance(value, str):
        return check(key, parse_size(value))
    expected = _TOML_TYPES[key.kind]
    if not isinstance(value, str | int | float) or type(value) not in expected:
        raise BadValue(f"expected a {_noun(key)}, got {value!r}")
    if isinstance(value, int) and key.kind == "number":
        value = float(value)
    return check(key, value)


def check(key: Key, value: Value) -> Value:
    """`value` itself when it fits the key's choices and minimum. Raises BadValue."""
    if key.choices and value not in key.choices:
        raise BadValue(f"expected one of {', '.join(key.choices)}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValue(f"expected a finite number, got {value!r}")
    if key.minimum is not None and isinstance(value, int | float) and value < key.minimum:
        got = plain(key, value) if key.kind == "size" else repr(value)
        raise BadValue(f"expected at least {plain(key, key.minimum)}, got {got}")
    if key.name == "protected" and isinstance(value, tuple):
        freeing = [pattern for pattern in value if pattern.startswith("!")]
        if freeing:
            raise BadValue(f"{freeing[0]!r} frees files, which is what `allow` is for")
    if key.name == "reasoning_patterns" and isinstance(value, tuple):
        for pattern in value:
            _check_pattern(pattern)
    if key.name.endswith("_variable") and not _VARIABLE.fullmatch(str(value)):
        # What stands there may be the secret itself.
        raise BadValue("expected the name of a variable in capitals, not what it holds")
    if key.kind == "text" and not str(value).strip():
        raise BadValue("expected a text, got an empty one")
    return value


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as problem:
        raise BadValue(f"{pattern!r} is no regular expression: {problem}") from None


def plain(key: Key, value: int | float) -> str:
    """A number as it is written for its key: a size as `2G`."""
    if key.kind == "size":
        for unit in ("G", "M", "K"):
            if value >= _UNITS[unit] and value % _UNITS[unit] == 0:
                return f"{value // _UNITS[unit]:.0f}{unit}"
        return f"{value:,.0f} bytes"
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def as_toml(key: Key, value: Value = None) -> str:
    """A value as a settings file has it; the key's example for None, else its default."""
    if value is None:
        value = key.default if key.example is None else key.example
    if key.kind == "size" and isinstance(value, int):
        return f'"{value >> 20}M"'
    if isinstance(value, tuple):
        return json.dumps(list(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _noun(key: Key) -> str:
    return {"text": "string", "integer": "whole number"}.get(key.kind, key.kind)
