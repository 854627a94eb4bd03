"""One image build as it goes: what it may reach, where its output goes, how it is stopped."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, cast
from urllib.parse import urlsplit

from sandbox.errors import InfrastructureError, SetupError, UsageError

Progress = Callable[[str], None]

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY")
_CERTIFICATES = ("GREENROOM_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
_INDEXES = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "GOPROXY"),
    *("NPM_CONFIG_REGISTRY", "npm_config_registry"),
)
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
DISK_FULL = re.compile(
    r"No space left on device|ENOSPC|You don't have enough free space|\[Errno 28\]", re.IGNORECASE
)
_TAIL_LINES = 200
_BETWEEN_LINES = 2.0  # seconds; package managers print hundreds of lines


@dataclass(frozen=True)
class BuildSettings:
    """What an image build gets from this machine. None of it stays in the image.

    `network` is `bridge`, or `host` for machines whose containers have no working bridge.
    `ca_bundle` is a PEM file of this machine, `environment` proxies and package indexes,
    `time_limit` the seconds that one layer may take.
    """

    network: Literal["bridge", "host"] = "bridge"
    ca_bundle: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    time_limit: float = 3600.0

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        network: str | None = None,
        ca_bundle: str | None = None,
    ) -> Self:
        """Reads GREENROOM_BUILD_NETWORK, certificates, proxies and indexes; arguments beat them.

        Raises UsageError for an unknown network or a certificate file that cannot be read.
        """
        env = os.environ if environ is None else environ
        name = network or env.get("GREENROOM_BUILD_NETWORK") or "bridge"
        if name not in ("bridge", "host"):
            raise UsageError(
                f"The network of image builds is {name!r}, which is not one Greenroom knows.",
                "Set GREENROOM_BUILD_NETWORK to bridge or host.",
            )
        return cls(
            network=cast(Literal["bridge", "host"], name),
            ca_bundle=_certificates(env, ca_bundle),
            environment={**_proxies(env), **_indexes(env)},
        )


def _certificates(env: Mapping[str, str], given: str | None) -> Path | None:
    source, value = "ca_bundle", given
    for name in _CERTIFICATES:
        if not value:
            source, value = name, env.get(name)
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_file():
        raise UsageError(
            f"{source} names {value}, which is not a file.",
            "Name a file of certificates in PEM form, or unset it.",
        )
    return path


def _proxies(env: Mapping[str, str]) -> dict[str, str]:
    """Proxy variables under both spellings: programs disagree on which one they read."""
    found = {}
    for name in _PROXIES:
        value = env.get(name.lower()) or env.get(name)
        if value:
            found[name] = found[name.lower()] = value
    return found


def _indexes(env: Mapping[str, str]) -> dict[str, str]:
    """Package indexes that a container can reach too: never a folder of this machine."""
    found = {}
    for name in _INDEXES:
        urls = [u for u in env.get(name, "").split() if urlsplit(u).scheme in ("http", "https")]
        if urls:
            found[name] = " ".join(urls)
    return found


class Stopped(InfrastructureError):
    """The build was stopped before its end, by Ctrl-C or by its time limit."""


class Job:
    """A build running in a thread of its own: reports lines, can be stopped from another thread."""

    api: Any  # docker-py's client for the engine, set before the first step

    def __init__(self, settings: BuildSettings, progress: Progress) -> None:
        self.settings = settings
        self.tail: list[str] = []
        self.step = "asking the Docker engine"
        self.step_started = self.last_line = time.monotonic()
        self._progress = progress
        self._stopped: str | None = None
        self._lock = threading.Lock()
        self._stoppers: list[Callable[[], None]] = []

    def begin(self, step: str) -> None:
        """Names what happens now; its output is kept for the error that may follow."""
        self.check()
        self.step, self.tail = step, []
        self.step_started = time.monotonic()
        self.say(step)

    def say(self, line: str) -> None:
        self.last_line = time.monotonic()
        self._progress(line)

    def output(self, text: str) -> None:
        """Takes lines that a program printed: cleaned, remembered, some of them shown."""
        for raw in text.splitlines():
            line = clean(raw)
            if line:
                self.tail = [*self.tail[1 - _TAIL_LINES :], line]
                if time.monotonic() - self.last_line >= _BETWEEN_LINES:
                    self.say(f"  {line}")

    def stop(self, reason: str = "the image build was stopped") -> None:
        """Ends what runs now; the working thread raises Stopped at its next step. Thread-safe."""
        with self._lock:
            if self._stopped is not None:
                return
            self._stopped = reason
            stoppers = list(self._stoppers)
        for stopper in reversed(stoppers):
            # One that fails must not keep the others from running; the thread still sees Stopped.
            with suppress(Exception):
                stopper()

    def check(self) -> None:
        """Raises Stopped once the job was told to stop."""
        if self._stopped is not None:
            raise Stopped(f"{self._stopped[0].upper()}{self._stopped[1:]} during: {self.step}.")

    @contextmanager
    def stoppable(self, stopper: Callable[[], None]) -> Iterator[None]:
        """While inside, `stop` also calls `stopper`."""
        self.check()
        with self._lock:
            self._stoppers.append(stopper)
        try:
            yield
        finally:
            with self._lock:
                self._stoppers.remove(stopper)

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """While inside, the job is stopped after `seconds`."""
        timer = threading.Timer(seconds, self.stop, [f"the time limit of {seconds:.0f} s was hit"])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def clean(line: str) -> str:
    """One line of a program's output without colours, control characters or an overwritten part."""
    visible = _ESCAPES.sub("", line.rstrip("\r\n")).rsplit("\r", 1)[-1]
    return "".join(c if c.isprintable() else " " for c in visible).rstrip()


def failure(job: Job, what: str, *, shown: int = 12) -> SetupError:
    """The error for a step that failed, told from what it printed last."""
    text = "\n".join(job.tail)
    lines = "\n".join(f"  {line}" for line in job.tail[-shown:])
    for pattern, message, hint in _CAUSES:
        if pattern.search(text):
            return SetupError(f"{what}: {message} The last lines were:\n{lines}", hint)
    return SetupError(f"{what}. The last lines were:\n{lines}" if lines else f"{what}.")


_CAUSES = (
    (
        DISK_FULL,
        "the disk is full.",
        "Free some space (`docker system df` shows what images hold; `greenroom prune --images` "
        "removes ours), then try again.",
    ),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSL certificate problem"),
        "the server's certificate is not trusted inside the build container.",
        "If your network inspects TLS, set GREENROOM_CA_BUNDLE to the file of certificates that "
        "this machine trusts.",
    ),
    (
        re.compile(
            r"Temporary failure (in name resolution|resolving)|Could not resolve|"
            r"Name or service not known|Network is unreachable|No route to host|Could not connect|"
            r"Connection (timed out|refused)|NewConnectionError|ConnectTimeoutError|"
            r"Cannot connect to proxy|no such host|i/o timeout",
            re.IGNORECASE,
        ),
        "the network cannot be reached from the build container.",
        "Behind a proxy set HTTPS_PROXY, for another index PIP_INDEX_URL; if containers have no "
        "network on this machine, set GREENROOM_BUILD_NETWORK=host.",
    ),
)
