"""Settings by layers, each value with the place it came from.

Flags beat the environment (`GREENROOM_*`), which beats the repository's `greenroom.toml` or
`[tool.greenroom]`, which beats the user's `config.toml`, which beats the defaults. A repository's
file is not trusted (see `agent.trust`): what it may not set is left out and named in `ignored`.
"""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from agent import paths
from agent.keys import KEYS, BadValue, Key, Value, as_toml, from_toml, parse_text, plain
from agent.settingsfile import Reader, read_toml, repository_file
from agent.trust import is_trusted, trusted_devcontainer
from sandbox.errors import UsageError
from sandbox.redaction import secrets_in


@dataclass(frozen=True)
class Settings:
    """Every key's value and source; `ignored` names the keys that the repository's file set in
    vain, with the bound it may not pass where there is one; `trusted_devcontainer` is the digest of
    the devcontainer.json that the user trusts in the checkout."""

    values: Mapping[str, Value]
    sources: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    repository_file: Path | None = None
    trusted_devcontainer: str = ""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def given(self, name: str) -> bool:
        """Whether anything but the default set it."""
        return self.sources[name] != "default"


def load(
    checkout: Path | None,
    flags: Mapping[str, Value],
    environment: Mapping[str, str] = os.environ,
    read: Reader | None = None,
    *,
    trusted: bool = False,
) -> Settings:
    """Settings for work on `checkout` (None: outside any). `read` gives the contents of its files
    where those that lie in it now do not count; they are `trusted` whatever the user did.

    Raises UsageError for a malformed file, an unknown key or a bad value, naming the file, the
    key, what was expected and the nearest key that exists.
    """
    values: dict[str, Value] = {key.name: key.default for key in KEYS.values()}
    sources = dict.fromkeys(values, "default")

    def put(name: str, value: Value, source: str) -> None:
        values[name], sources[name] = value, source

    user = paths.config_file()
    if user.exists():
        for name, value in _checked(read_toml(user), str(user)).items():
            put(name, value, str(user))
    ignored: list[str] = []
    found = repository_file(checkout, read) if checkout else None
    if checkout and found:
        wanted = _checked(found.table, found.label)
        _check_reach(wanted, found.label)
        believed = trusted or is_trusted(checkout, found.table, read)
        refused = {} if believed else refusals(wanted, values)
        ignored += refused.values()
        for name in wanted.keys() - refused.keys():
            put(name, wanted[name], found.label)
    for name, value in _from_environment(environment).items():
        put(name, value, KEYS[name].variable)
    for name, value in flags.items():
        if value is not None:
            put(name, value, KEYS[name].flag)
    return Settings(
        values,
        sources,
        tuple(ignored),
        found.path if found else None,
        trusted_devcontainer(checkout) if checkout else "",
    )


def _checked(table: Mapping[str, object], label: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name, raw in table.items():
        key = KEYS.get(name)
        if key is None:
            raise UsageError(f"{label}: unknown key {name!r}{nearest(name, KEYS)}", _LIST_KEYS)
        try:
            values[name] = from_toml(key, raw)
        except BadValue as problem:
            right = f"An example of the right form: {name} = {as_toml(key)}"
            raise UsageError(f"{label}: {name}: {problem}", right) from None
    return values


def _check_reach(wanted: Mapping[str, Value], label: str) -> None:
    """Raises UsageError for what no repository's file may set, trusted or not."""
    for name in wanted:
        if KEYS[name].reach == "user":
            raise UsageError(
                f"{label}: {name} is about this machine, so no repository's file may set it",
                f"Set it in {paths.config_file()} or as {KEYS[name].variable}.",
            )


_LIST_KEYS = "`greenroom config` lists every key."
#: Variables of this prefix that are no settings.
_OTHER_VARIABLES = frozenset(
    f"GREENROOM_{name}" for name in ("DEBUG", "BOT", "OUTPUT", "ISSUE", "GUIDANCE", "RED_BUILD")
)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    variables = {key.variable: key for key in KEYS.values()}
    for variable, text in environment.items():
        if not variable.startswith("GREENROOM_") or variable in _OTHER_VARIABLES or not text:
            continue
        if variable not in variables:
            raise UsageError(
                f"unknown variable {variable} in the environment{nearest(variable, variables)}",
                _LIST_KEYS,
            )
        key = variables[variable]
        try:
            values[key.name] = parse_text(key, text)
        except BadValue as problem:
            raise UsageError(f"{variable}: {problem}") from None
    return values


def nearest(name: str, known: Mapping[str, object]) -> str:
    """`; did you mean 'x'?` for the closest known name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def refusals(wanted: Mapping[str, Value], current: Mapping[str, Value]) -> dict[str, str]:
    """What an untrusted file of a repository may not set, by name: the name, with the bound that it
    would pass where there is one."""
    found = {name: _refusal(KEYS[name], value, current[name]) for name, value in wanted.items()}
    return {name: name + refusal for name, refusal in found.items() if refusal is not None}


def _refusal(key: Key, value: Value, current: Value) -> str | None:
    """None when an untrusted repository may set `key` to `value`; else what to add to its name."""
    if key.reach in ("guarded", "user"):
        return ""
    if key.reach == "free" or not isinstance(value, int | float):
        return None
    if not isinstance(current, int | float) or value <= current:
        return None
    return f" above {plain(key, current)}"


def restore(recorded: Mapping[str, object], flags: Mapping[str, Value]) -> Settings:
    """The settings that a run recorded, with `flags` on top. Raises UsageError for a bad record."""
    values: dict[str, Value] = {key.name: key.default for key in KEYS.values()}
    sources = dict.fromkeys(values, "default")
    for name, value in _checked(recorded, "the run's record").items():
        values[name], sources[name] = value, "the run's record"
    for name, value in flags.items():
        if value is not None:
            values[name], sources[name] = value, KEYS[name].flag
    address = values["base_url"]
    if isinstance(address, str) and _REDACTED in address:
        values["base_url"] = _with_secrets(address)
    return Settings(values, sources)


#: Stands in the record of a run for what an address holds beside the address.
_REDACTED = "[redacted]"
_TELLING = re.compile(r"key|token|secret|sig|pass", re.IGNORECASE)


def recordable(found: Settings) -> dict[str, Value]:
    """The settings that say something, as a run's record may hold them: no password or key that
    stands in an address."""
    kept = dict[str, Value](
        (name, value) for name, value in found.values.items() if value not in (None, ())
    )
    if found["base_url"]:
        kept["base_url"] = _without_secrets(found["base_url"])
    return kept


def _without_secrets(address: str) -> str:
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")
    netloc = f"{_REDACTED}@{host[2]}" if host[1] else parts.netloc
    query = _REDACTED if _TELLING.search(parts.query) else parts.query
    return parts._replace(netloc=netloc, query=query).geturl()


def _with_secrets(recorded: str) -> str:
    """The address that a record stands for, from the user's own settings of today."""
    today = load(None, {})["base_url"]
    if today and _without_secrets(today) == recorded:
        return str(today)
    raise UsageError(
        f"the address {recorded} was used with a login or key, which is not kept with a run",
        "Give the whole address again with --base-url.",
    )


def secrets(found: Settings, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The texts that must never be written: the key that the model's server is given, what an
    address holds of the kind, and what image builds are lent."""
    key = environment.get(found["api_key_variable"] or "OPENAI_API_KEY", "")
    parts = urlsplit(found["base_url"] or "")
    told = [value for name, value in parse_qsl(parts.query) if _TELLING.search(name)]
    index = environment.get(found["index_url_variable"] or "PIP_INDEX_URL", "")
    token = environment.get(found["npm_token_variable"] or "", "")
    return tuple(text for text in (key, parts.password, *told, token, *secrets_in([index])) if text)


def top_of(folder: Path) -> Path:
    """The folder whose settings file counts: the nearest one upwards that holds a `.git`, else
    `folder` itself. Raises UsageError when there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "Give a checkout with -C PATH.")
    start = folder.resolve()
    for candidate in (start, *start.parents):
        if (candidate / ".git").exists():
            return candidate
    return start
