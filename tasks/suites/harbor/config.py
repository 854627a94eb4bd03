"""A task's task.toml: what of it is read, with Harbor's own defaults (schema 1.4 and what older
versions of it called otherwise), and what of it cannot be held here."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Any, Literal, cast, get_args

from sandbox.errors import UsageError
from tasks.suites.suite import Unsupported

Network = Literal["no-network", "public", "allowlist"]
#: Seconds that Harbor gives a verifier whose task says nothing.
VERIFIER_SECONDS = 600.0
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG])B?", re.IGNORECASE)
_UNITS = {"K": 1 / 1024, "M": 1.0, "G": 1024.0}
_TEMPLATE = re.compile(r"\$\{([^}:]+)(?::-(.*))?\}")
_WEB = (443, 80)
_KERNEL = ("/proc", "/sys", "/dev", "/run/greenroom")
_SERVICES = "it needs services that run on beside or after the work"


@dataclass(frozen=True)
class Place:
    """An [environment]. Sizes in MiB; `network` is as a policy lists it, None: nothing is said."""

    image: str = ""
    workdir: str = ""
    cpus: float | None = None
    memory: int | None = None
    storage: int | None = None
    variables: tuple[tuple[str, str], ...] = ()
    network: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Config:
    """What a task.toml says. Times in seconds, None where it says nothing. `verifier_place` is the
    place of a separate verifier, where that has its own; `agent_network` and `verifier_network`
    replace that of their place. `artifacts` are absolute paths with patterns of what is left out.
    """

    place: Place
    agent_seconds: float | None
    verifier_seconds: float
    separate: bool
    verifier_place: Place | None
    agent_network: tuple[str, ...] | None
    verifier_network: tuple[str, ...] | None
    verifier_variables: tuple[tuple[str, str], ...]
    solution_variables: tuple[tuple[str, str], ...]
    artifacts: tuple[tuple[str, tuple[str, ...]], ...]


def read_config(text: str, where: str) -> Config:
    """Raises UsageError, naming the file and the field, for what is none, and Unsupported for a
    task that cannot be run here, with the reason."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise UsageError(f"{where}: this is not TOML: {problem}") from None
    reader = _Reader(where)
    environment = reader.table(data, "environment")
    agent, verifier = reader.table(data, "agent"), reader.table(data, "verifier")
    reader.refuse(data, environment, agent, verifier)
    own = verifier.get("environment")
    mode = verifier.get("environment_mode") or ("separate" if own is not None else "shared")
    if mode not in ("shared", "separate") or (mode == "shared" and own is not None):
        raise UsageError(f"{where}: verifier.environment_mode cannot be {mode!r} here.")
    if own is not None:
        own = reader.table(verifier, "environment", "verifier.")
        reader.refuse_place(own, "verifier.environment")
    seconds = reader.number(verifier, "timeout_sec", "verifier")
    return Config(
        place=reader.place(environment, "environment"),
        agent_seconds=reader.number(agent, "timeout_sec", "agent"),
        verifier_seconds=VERIFIER_SECONDS if seconds is None else seconds,
        separate=mode == "separate",
        verifier_place=None if own is None else reader.place(own, "verifier.environment"),
        agent_network=reader.network(agent, "agent"),
        verifier_network=reader.network(verifier, "verifier"),
        verifier_variables=reader.variables(verifier, "verifier"),
        solution_variables=reader.variables(reader.table(data, "solution"), "solution"),
        artifacts=reader.artifacts(data.get("artifacts", [])),
    )


class _Reader:
    """Reads fields; what is wrong with one is told with the file's name."""

    def __init__(self, where: str) -> None:
        self._where = where

    def table(self, data: Mapping[str, Any], name: str, above: str = "") -> Mapping[str, Any]:
        found = data.get(name, {})
        if not isinstance(found, dict):
            raise UsageError(f"{self._where}: {above}{name} has to be a table.")
        return found

    def refuse(
        self,
        data: Mapping[str, Any],
        environment: Mapping[str, Any],
        agent: Mapping[str, Any],
        verifier: Mapping[str, Any],
    ) -> None:
        """Raises Unsupported for what a single container without live services cannot be."""
        self.refuse_place(environment, "environment")
        if data.get("steps"):
            raise self._unsupported("steps", "tasks of several steps are not run")
        for name, table in (("agent", agent), ("verifier", verifier)):
            if table.get("user") not in (None, "root", 0, "0"):
                raise self._unsupported(f"{name}.user", "commands are root in its container")
        if verifier.get("collect"):
            raise self._unsupported("verifier.collect", _SERVICES)

    def refuse_place(self, place: Mapping[str, Any], name: str) -> None:
        if str(place.get("os", "linux")).lower() != "linux":
            raise self._unsupported(f"{name}.os", "there are Linux containers only")
        if place.get("gpus") or place.get("tpu"):
            raise self._unsupported(f"{name}.gpus", "a sandbox has no devices")
        if place.get("healthcheck"):
            raise self._unsupported(f"{name}.healthcheck", _SERVICES)
        if place.get("mcp_servers"):
            raise self._unsupported(f"{name}.mcp_servers", _SERVICES)

    def place(self, table: Mapping[str, Any], name: str) -> Place:
        workdir = self._text(table, "workdir", name)
        if workdir and not workdir.startswith("/"):
            raise UsageError(f"{self._where}: {name}.workdir has to be an absolute path.")
        if any(f"{workdir}/".startswith(f"{folder}/") for folder in _KERNEL):
            raise self._unsupported(f"{name}.workdir", f"{workdir} is no folder of the image")
        return Place(
            image=self._text(table, "docker_image", name),
            workdir=workdir,
            cpus=self.number(table, "cpus", name),
            memory=self._size(table, "memory", name),
            storage=self._size(table, "storage", name),
            variables=self.variables(table, name),
            network=self.network(table, name),
        )

    def number(self, table: Mapping[str, Any], name: str, above: str) -> float | None:
        """A number above zero, None where it is not given."""
        found = table.get(name)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1e9:
            raise UsageError(f"{self._where}: {above}.{name} has to be a number above zero.")
        return float(found)

    def _size(self, table: Mapping[str, Any], name: str, above: str) -> int | None:
        """So many MiB: `NAME_mb`, or the older `NAME` with its unit."""
        number = self.number(table, f"{name}_mb", above)
        old = table.get(name)
        if old is None:
            return None if number is None else int(number)
        read = _SIZE.fullmatch(str(old).strip())
        if read is None:
            raise UsageError(f"{self._where}: {above}.{name} has to be a size such as '2G'.")
        size = int(float(read[1]) * _UNITS[read[2].upper()])
        if number is not None and int(number) != size:
            raise UsageError(f"{self._where}: {above}.{name} and {name}_mb do not agree.")
        return size

    def _text(self, table: Mapping[str, Any], name: str, above: str) -> str:
        found = table.get(name) or ""
        if not isinstance(found, str):
            raise UsageError(f"{self._where}: {above}.{name} has to be a text.")
        return found

    def variables(self, table: Mapping[str, Any], above: str) -> tuple[tuple[str, str], ...]:
        """`env`, with the defaults of what it would take from this machine."""
        found = table.get("env", {})
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise UsageError(f"{self._where}: {above}.env has to be a table of texts.")
        return tuple((name, self._resolved(value, above)) for name, value in found.items())

    def _resolved(self, value: str, above: str) -> str:
        template = _TEMPLATE.fullmatch(value)
        if template is None:
            return value
        if template[2] is None:
            raise self._unsupported(
                f"{above}.env", f"it wants this machine's {template[1]}, which no sandbox is given"
            )
        return str(template[2])

    def network(self, table: Mapping[str, Any], above: str) -> tuple[str, ...] | None:
        """What may be reached, as a policy lists it; None where nothing is said."""
        mode = table.get("network_mode")
        hosts = table.get("allowed_hosts")
        if mode is None and hosts is None and table.get("allow_internet") is not None:
            mode = "public" if table["allow_internet"] else "no-network"
        if mode is None:
            return None
        if mode not in get_args(Network):
            raise UsageError(f"{self._where}: {above}.network_mode cannot be {mode!r}.")
        if not isinstance(hosts or [], list) or not all(isinstance(h, str) for h in hosts or []):
            raise UsageError(f"{self._where}: {above}.allowed_hosts has to be a list of names.")
        if mode != "allowlist":
            return () if mode == "no-network" else ("public-web",)
        return tuple(f"{self._host(host)}:{port}" for host in hosts or [] for port in _WEB)

    def _host(self, host: str) -> str:
        name = host.strip().lower().rstrip(".")
        if "*" in name or "/" in name:
            raise self._unsupported(
                "allowed_hosts", f"{name} stands for several hosts, and each is named here"
            )
        try:
            return f"[{name}]" if ip_address(name).version == 6 else name
        except ValueError:
            return name

    def artifacts(self, entries: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
        if not isinstance(entries, list):
            raise UsageError(f"{self._where}: artifacts has to be a list.")
        return tuple(map(self._artifact, entries))

    def _artifact(self, entry: Any) -> tuple[str, tuple[str, ...]]:
        table = {"source": entry} if isinstance(entry, str) else entry
        source = table.get("source") if isinstance(table, dict) else None
        if not isinstance(source, str) or ".." in PurePosixPath(source).parts:
            raise UsageError(f"{self._where}: an artifact has no source that can be carried.")
        if table.get("service") not in (None, "main"):
            raise self._unsupported("artifacts", _SERVICES)
        if not source.startswith("/"):
            raise self._unsupported("artifacts", f"{source} is no absolute path")
        left_out = table.get("exclude", [])
        if not isinstance(left_out, list) or not all(isinstance(p, str) for p in left_out):
            raise UsageError(f"{self._where}: an artifact's exclude has to be a list of patterns.")
        return (source.rstrip("/") or "/", tuple(cast(list[str], left_out)))

    def _unsupported(self, field: str, reason: str) -> Unsupported:
        return Unsupported(f"{self._where}: {field}: {reason}.")
