"""One image build as it goes: what it may reach, where its output goes, how it is stopped."""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from sandbox import hostnetwork
from sandbox.allowlist import Allowlist
from sandbox.errors import InfrastructureError, SetupError, UsageError
from sandbox.redaction import redact, secrets_of

if TYPE_CHECKING:
    from sandbox.engine import Engine

Progress = Callable[[str], None]

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
DISK_FULL = re.compile(
    r"No space left on device|ENOSPC|You don't have enough free space|\[Errno 28\]", re.IGNORECASE
)
_TAIL_LINES = 200
_BETWEEN_LINES = 2.0  # seconds; package managers print hundreds of lines


@dataclass(frozen=True)
class BuildSettings:
    """What an image build gets from this machine. None of it stays in the image.

    `network` is that of Dockerfiles' steps, and of what is added to a named image: `bridge`, or
    `host` for machines whose containers have no working bridge. `places` are what layers may reach
    beside the public web and what is named here, as `sandbox.allowlist` reads them. `ca_bundle` is
    a PEM file of this machine, `environment` proxies, package indexes and tokens for them,
    `apt_mirror` the address that stands in for those of Debian and Ubuntu. `time_limit` are the
    seconds that one layer may take. `image_budget` is what all images of ours may take on the disk,
    in bytes; a build that goes over it removes old ones.
    """

    network: Literal["bridge", "host"] = "bridge"
    ca_bundle: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    apt_mirror: str | None = None
    places: tuple[str, ...] = ()
    time_limit: float = 3600.0
    image_budget: int | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of this must never be shown or kept."""
        return secrets_of(self.environment)

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        network: str | None = None,
        ca_bundle: str | None = None,
        apt_mirror: str | None = None,
        index_url_variable: str | None = None,
        npm_token_variable: str | None = None,
        image_budget: int | None = None,
        places: tuple[str, ...] = (),
    ) -> Self:
        """Reads GREENROOM_BUILD_NETWORK, certificates, proxies and indexes; arguments beat them.

        `index_url_variable` and `npm_token_variable` name variables that hold a secret: the address
        of the Python index with its login, and the token for the npm registry. Raises UsageError
        for an unknown network, a certificate file that cannot be read, an address or a place that
        is none, and a variable that is not set.
        """
        env = os.environ if environ is None else environ
        name = network or env.get("GREENROOM_BUILD_NETWORK") or "bridge"
        if name not in ("bridge", "host"):
            raise UsageError(
                f"The network of image builds is {name!r}, which is not one Greenroom knows.",
                "Set GREENROOM_BUILD_NETWORK to bridge or host.",
            )
        Allowlist.parse(places, "build_places")
        return cls(
            network=cast(Literal["bridge", "host"], name),
            ca_bundle=hostnetwork.certificates(env, ca_bundle),
            environment={
                **hostnetwork.proxies(env),
                **hostnetwork.python_indexes(env, index_url_variable),
                **hostnetwork.npm_registry(env, npm_token_variable),
                **hostnetwork.module_proxies(env),
            },
            apt_mirror=hostnetwork.plain_address("apt_mirror", apt_mirror),
            image_budget=image_budget,
            places=places,
        )


class Stopped(InfrastructureError):
    """The build was stopped before its end, by Ctrl-C or by its time limit."""


class Job:
    """A build running in a thread of its own: reports lines, can be stopped from another thread.

    `live` gets every line that a program prints; without it, `progress` gets some of them.
    """

    # Set before the first step: docker-py's client for the engine, and the engine.
    api: Any
    engine: "Engine"

    def __init__(
        self, settings: BuildSettings, progress: Progress, live: Progress | None = None
    ) -> None:
        self.settings = settings
        self.secrets = settings.secrets
        self.live = live
        self.built = False
        self.tail: list[str] = []
        self.step = "asking the Docker engine"
        self.step_started = self.last_line = time.monotonic()
        self._progress = progress
        self._stopped: str | None = None
        self._stopped_at = 0.0
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
        self._progress(redact(line, self.secrets))

    def output(self, text: str) -> None:
        """Takes lines that a program printed: cleaned, remembered, some of them shown."""
        for raw in text.splitlines():
            line = redact(clean(raw), self.secrets)
            if line:
                self.tail = [*self.tail[1 - _TAIL_LINES :], line]
                if self.live is not None:
                    self.last_line = time.monotonic()
                    self.live(line)
                elif time.monotonic() - self.last_line >= _BETWEEN_LINES:
                    self.say(f"  {line}")

    def stop(self, reason: str = "the image build was stopped") -> None:
        """Ends what runs now; the working thread raises Stopped at its next step. Thread-safe."""
        with self._lock:
            if self._stopped is not None:
                return
            self._stopped, self._stopped_at = reason, time.monotonic()
            stoppers = list(self._stoppers)
        for stopper in reversed(stoppers):
            # One that fails must not keep the others from running; the thread still sees Stopped.
            with suppress(Exception):
                stopper()

    def check(self) -> None:
        """Raises Stopped once the job was told to stop."""
        if self._stopped is not None:
            raise Stopped(f"{self._stopped[0].upper()}{self._stopped[1:]} during: {self.step}.")

    def check_overdue(self, seconds: float) -> None:
        """Raises Stopped when the job was told to stop so long ago: its thread waits for an answer
        of the engine, which nothing can cut short.
        """
        if self._stopped is not None and time.monotonic() - self._stopped_at > seconds:
            self.check()

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


def check_stream(job: Job, answers: Iterable[Any], what: str) -> None:
    """Reads an engine's JSON answers (bytes, text or parsed); raises SetupError for an error."""
    for answer in answers:
        message = json.loads(answer) if isinstance(answer, (str, bytes)) else answer
        if "stream" in message:
            job.output(message["stream"])
        elif "error" in message:
            job.output(message["error"])
            raise failure(job, what)


#: How a line begins that tells that the kernel ended a step.
OUT_OF_MEMORY = "out of memory"
_NO_NETWORK = (
    "the network cannot be reached from the build container",
    "Behind a proxy set HTTPS_PROXY, for another index PIP_INDEX_URL; if containers have no "
    "network on this machine, set GREENROOM_BUILD_NETWORK=host.",
)


def failure(
    job: Job,
    what: str,
    *,
    shown: int = 12,
    trouble: tuple[str, str] = ("", ""),
    unreachable: tuple[str, str] = _NO_NETWORK,
) -> SetupError:
    """The error for a step that failed, told from what it printed last. `trouble` is what else is
    known of it and what to do then; `unreachable` the same where its output tells that it found no
    network.
    """
    what = redact(what, job.secrets)
    text = "\n".join(job.tail)
    lines = "\n".join(f"  {line}" for line in job.tail[-shown:])
    known = [(told, hint) for pattern, told, hint in _CAUSES if pattern.search(text)]
    known += [trouble] if trouble[0] else []
    known += [unreachable] if _UNREACHABLE.search(text) else []
    if known:
        message, hint = known[0]
        return SetupError(
            f"{what}: {redact(message, job.secrets)}. The last lines were:\n{lines}", hint
        )
    return SetupError(f"{what}. The last lines were:\n{lines}" if lines else f"{what}.")


_CAUSES = (
    (
        DISK_FULL,
        "the disk is full",
        "Free some space (`docker system df` shows what images hold; `greenroom prune --images` "
        "removes ours), then try again.",
    ),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSL certificate problem"),
        "the server's certificate is not trusted inside the build container",
        "If your network inspects TLS, set GREENROOM_CA_BUNDLE to the file of certificates that "
        "this machine trusts.",
    ),
    (
        re.compile(f"^{OUT_OF_MEMORY}: (.+)", re.MULTILINE),
        "it ran out of memory",
        "Give the engine's machine more, or have less done at once (such as `make -j1`).",
    ),
)
_UNREACHABLE = re.compile(
    r"Temporary failure (in name resolution|resolving)|Could not resolve|"
    r"Name or service not known|Network is unreachable|No route to host|Could not connect|"
    r"Connection (timed out|refused)|NewConnectionError|ConnectTimeoutError|"
    r"Cannot connect to proxy|no such host|i/o timeout|took too long to",
    re.IGNORECASE,
)
