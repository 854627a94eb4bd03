"""The sandbox that an image's layers are built in: root inside and a writable image, and else as
any other: no network device, few capabilities, our seccomp profile, limits.

What installs a repository's requirements runs code of those packages. Its requests leave through
the way out, where each is checked and counted: to any public host at the ports of the web, and to
the indexes and mirrors that this machine's settings name.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sandbox.allowlist import PUBLIC_WEB, Allowlist
from sandbox.buildjob import BuildSettings, Job
from sandbox.egress.record import NetworkRequest
from sandbox.egress.wayout import MOST_CONNECTIONS, WayOut
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError
from sandbox.lifecycle import Container
from sandbox.policy import GIB, MIB, Policy
from sandbox.prepare import WAY_OUT, init_request
from sandbox.profile import PROXY_PORT
from sandbox.wire import Wire

T = TypeVar("T")
SHARE = 0.75  # of the machine's memory
PRIVATE_BYTES = 16 * MIB
OUTPUT_BYTES = 32 * MIB  # half of it is shown as it comes
LARGEST_FILE = 64 * GIB
MOST_EXCHANGED = 64 * GIB
_DEFAULT_PORTS = {"http": 80, "https": 443}
# What an address of this machine's settings may resolve into: a name of the user's own choice may
# well be of a private network.
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")


def build_policy(settings: BuildSettings, engine: Engine) -> Policy:
    """What a build may use: most of the engine's machine."""
    memory = int(engine.abilities.memory_bytes * SHARE) or 4 * GIB
    return Policy(
        preset="compat",
        memory_bytes=memory,
        cpus=float(engine.abilities.cpus),
        pids=4096,
        workspace_bytes=MIB,
        workspace_inodes=1024,
        file_bytes=LARGEST_FILE,
        command_timeout=settings.time_limit,
        network=build_places(settings),
        network_bytes=MOST_EXCHANGED,
    )


def build_places(settings: BuildSettings) -> tuple[str, ...]:
    """What a build may reach, as `Policy.network` has it."""
    found = [PUBLIC_WEB]
    for name, value in settings.environment.items():
        if name.lower().endswith("_proxy"):
            continue  # the host's own business: the way out goes through it
        for word in value.split():
            parts = urlsplit(word)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
            if parts.hostname and port:
                found += _entries(parts.hostname, port)
    return tuple(dict.fromkeys(found))


def _entries(host: str, port: int) -> Iterator[str]:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    yield where
    if not host.replace(".", "").isdigit() and ":" not in host:
        yield from (f"{where}@{network}" for network in _PRIVATE)


class BuildRoom:
    """One running build sandbox, driven from a thread without an event loop of its own.

    Everything raises InfrastructureError when it dies, and Stopped once the job was told to stop.
    """

    def __init__(self, job: Job, engine: Engine, image: str) -> None:
        self._job = job
        self._policy = build_policy(job.settings, engine)
        self._container = Container(engine, self._policy)
        self._wire = Wire(self._container, self._policy)
        self._image = image
        self._way_out: WayOut | None = None
        self._requests: Counter[str] = Counter()
        self._received = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def ident(self) -> str:
        """The container's id."""
        return self._container.ident

    def run(self, command: Sequence[str], folder: str, variables: Mapping[str, str]) -> int:
        """Run a command, its output going to the job; its exit code, 128 and the number of the
        signal that ended it."""
        lines = _Lines(self._job)
        result = self._wait(
            self._wire.run(
                list(command),
                cwd=folder,
                # The way out is the only one: this machine's own proxies stand behind it.
                env={**variables, **WAY_OUT, "NO_PROXY": "", "no_proxy": ""},
                seconds=self._job.settings.time_limit,
                output_limit=OUTPUT_BYTES,
                on_output=lines.take,
            )
        )
        if result.output.truncated:
            lines.take(b"\n[...]\n" + result.output.tail)
        lines.end()
        self._job.check()
        if result.reason == "memory":
            allowed = f"{self._policy.memory_bytes / MIB:,.0f} MiB"
            self._job.output(f"out of memory: a build may use {allowed}")
        return result.exit_code if result.exit_code is not None else 128 + (result.signal or 0)

    def _start(self) -> None:
        self._thread.start()
        self._wait(self._open())

    async def _open(self) -> None:
        await self._container.start(self._image, private_bytes=PRIVATE_BYTES)
        request = init_request(self._container.uid, self._policy, {"LANG": "C.UTF-8"})
        # Not a file of the image's, which every later layer would inherit.
        await self._wire.ask({**request, "profile": ""})
        channel = self._container.channel
        self._way_out = WayOut(
            Allowlist.parse(self._policy.network),
            channel,
            total_bytes=self._policy.network_bytes,
            on_request=self._asked,
        )
        channel.carry(self._way_out)
        await self._wire.ask({"op": "way_out", "port": PROXY_PORT, "limit": MOST_CONNECTIONS})

    def _asked(self, request: NetworkRequest) -> None:
        where = f"{request.host}:{request.port}"
        self._received += request.received
        if request.outcome == "ok":
            self._requests[where] += 1
        else:
            self._job.output(f"{request.outcome}: {request.method} {where}: {request.why}")

    def _tell_requests(self) -> None:
        """Say what was asked for, and of whom."""
        if self._requests:
            hosts = ", ".join(f"{where} ({n})" for where, n in self._requests.most_common())
            self._job.say(f"requests: {hosts}; {self._received / 1e6:,.1f} MB received")

    def _end(self) -> None:
        try:
            self._wait(self._close(), stoppable=False)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _close(self) -> None:
        if self._way_out is not None:
            await self._way_out.close()
        await self._container.close()

    def _wait(self, work: Coroutine[Any, Any, T], *, stoppable: bool = True) -> T:
        """What `work` gives in the loop; a stop of the job cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        if not stoppable:
            return future.result()
        with self._job.stoppable(lambda: _cancel(future)):
            try:
                return future.result()
            except asyncio.CancelledError:
                self._job.check()
                raise InfrastructureError(f"The build ended during: {self._job.step}.") from None
            except InfrastructureError as error:
                self._job.check()
                raise InfrastructureError(
                    f"The build container died during: {self._job.step} ({error.message})."
                ) from error


def _cancel(future: Future[Any]) -> None:
    future.cancel()


@contextmanager
def build_room(job: Job, engine: Engine, image: str) -> Iterator[BuildRoom]:
    """A build sandbox on `image` (an id), removed at the end. Raises SetupError when the engine
    refuses, InfrastructureError when it dies."""
    room = BuildRoom(job, engine, image)
    try:
        room._start()
        yield room
        room._tell_requests()
    finally:
        room._end()


class _Lines:
    """Cuts a command's output into lines for the job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pending = b""

    def take(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._job.output(line.decode(errors="replace"))

    def end(self) -> None:
        self._job.output(self._pending.decode(errors="replace"))
