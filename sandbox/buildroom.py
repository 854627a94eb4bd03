"""The sandbox that an image's layers are built in: root inside and a writable image, and else as
any other: no network device, few capabilities, our seccomp profile, limits.

What installs a repository's requirements runs code of those packages. Its requests leave through
the way out, where each is checked and counted (sandbox/buildplaces.py says what they may reach).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox.buildjob import OUT_OF_MEMORY, Job, failure
from sandbox.buildplaces import build_places, way_out_variables
from sandbox.buildrequests import Requests
from sandbox.controls import lacking, opening
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError
from sandbox.imageenv import USUAL_PATH
from sandbox.lending import FOLDER, lent_files, lent_variables, proxies_of
from sandbox.lifecycle import Container
from sandbox.policy import GIB, MIB, Policy
from sandbox.prepare import (
    as_it_is_read,
    check_fits,
    init_request,
    open_way_out,
    this_second,
)
from sandbox.results import FileProblem
from sandbox.trees import Base
from sandbox.upload import base_records, file_records
from sandbox.wire import Wire

if TYPE_CHECKING:
    from sandbox.egress.wayout import WayOut

T = TypeVar("T")
SHARE = 0.75  # of the machine's memory
OUTPUT_BYTES = 32 * MIB  # half of it is shown as it comes
LARGEST_FILE = 64 * GIB
MOST_EXCHANGED = 64 * GIB
FILE_BYTES = 16 << 10  # of a usual file, where a workspace is kept in memory
# Beyond the time of the whole layer, which is watched from here.
_SPARE_SECONDS = 60.0


def build_policy(job: Job, engine: Engine, *, files: bool) -> Policy:
    """What a build may use: most of the engine's machine. `files`: there are some in /workspace,
    on the engine's disk where that can be, for what a build makes there has no bound.
    """
    memory = int(engine.abilities.memory_bytes * SHARE) or 4 * GIB
    room = memory // 2 if files else MIB
    policy = Policy(
        preset="compat",
        workspace="disk" if files and not engine.abilities.libpod else "memory",
        memory_bytes=memory,
        cpus=float(engine.abilities.cpus),
        pids=4096,
        file_bytes=LARGEST_FILE,
        command_timeout=job.settings.time_limit + _SPARE_SECONDS,
        network=build_places(job.settings),
        network_bytes=MOST_EXCHANGED,
        workspace_bytes=room,
        workspace_inodes=max(1024, room // FILE_BYTES),
    )
    policy.check()
    return policy


class BuildRoom:
    """One running build sandbox, driven from a thread that has no event loop.

    Everything raises InfrastructureError when it dies, and Stopped once the job was told to stop.
    """

    def __init__(
        self, job: Job, engine: Engine, image: Mapping[str, Any], workspace: Base | None
    ) -> None:
        self.requests = Requests(job)
        self._job = job
        self._engine = engine
        self._image: str = image["Id"]
        self._workspace = workspace
        self._policy = build_policy(job, engine, files=workspace is not None)
        self._container = Container(engine, self._policy, stays=True)
        self._wire = Wire(self._container, self._policy)
        self._way_out: WayOut | None = None
        self._runner = asyncio.Runner()
        own = proxies_of(job.settings)  # they stand behind the way out, which is the only one
        lent = {n: v for n, v in lent_variables(job.settings).items() if n not in own}
        given = dict(each.partition("=")[::2] for each in image["Config"].get("Env") or [])
        # As the supervisor itself finds its programs: a sandbox's commands look at home first.
        path = {"PATH": given.get("PATH") or USUAL_PATH}
        self._variables = {**lent, **way_out_variables(job.settings), **path}

    @property
    def ident(self) -> str:
        """The container's id."""
        return self._container.ident

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] = {},
        take: Callable[[str], None] | None = None,
        *,
        folder: str = "/",
    ) -> int:
        """Run a command, its output going to the job, or to `take` a line at a time; its exit code,
        128 and its number for a signal. Everything that it started is dead when this returns."""
        lines = _Lines(take or self._job.output)
        result = self._wait(
            self._wire.run(
                list(command),
                cwd=folder,
                env={**self._variables, **environment},
                output_limit=OUTPUT_BYTES,
                on_output=lines.take,
            )
        )
        if result.output.total > lines.total:
            lines.take((b"\n[...]\n" if result.output.truncated else b"") + result.output.tail)
        lines.end()
        if result.reason == "memory":
            allowed = f"{self._policy.memory_bytes / MIB:,.0f} MiB"
            self._job.output(f"{OUT_OF_MEMORY}: a build may use {allowed}")
        elif result.reason == "output":
            self._job.output("ended, for it printed without an end")
        return result.exit_code if result.exit_code is not None else 128 + (result.signal or 0)

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Write files below a folder of the image that is not there yet."""
        request = {"op": "support", "root": folder, "moment_ns": this_second()}
        self._wait(self._wire.send(request, file_records(files)))

    def kill(self) -> None:
        """End everything inside; what it made of the image stays to be looked at."""
        from docker.errors import DockerException  # noqa: PLC0415

        try:
            self._job.api.kill(self.ident)
            self._job.api.wait(self.ident)
        except DockerException as error:
            raise InfrastructureError(
                f"The build sandbox died during: {self._job.step} ({error})."
            ) from error

    def start(self) -> None:
        """Open it, with what this machine lends and the files of the workspace."""
        self._wait(self._open())

    def close(self) -> None:
        """Remove it, whatever it does."""
        try:
            self._runner.run(self._close())
        finally:
            self._runner.close()

    async def _open(self) -> None:
        policy, can = self._policy, self._engine.abilities
        self._engine.check(policy)
        if self._workspace is not None and policy.in_memory:
            check_fits(self._workspace, policy)
        private = policy.private_bytes(resettable=False)
        await self._container.start(self._image, private_bytes=private)
        uid = self._container.uid
        # No profile: it would be a file of the image's, which every later layer would inherit.
        request = {**init_request(uid, policy, {}), "profile": ""}
        seen = await self._wire.ask({**opening(uid, policy, can), **request})
        lacking(seen, policy, can, private)  # raises for one that is not safe
        told, variables = self.requests.take, self._job.settings.environment
        self._way_out = await open_way_out(self._container, self._wire, policy, told, variables)
        if lent := lent_files(self._job.settings):
            request = {"op": "support", "root": FOLDER, "moment_ns": this_second()}
            await self._wire.send(request, file_records(lent))
        if self._workspace is not None:
            records = as_it_is_read(base_records(self._workspace))
            await self._wire.send({"op": "load", "moment_ns": this_second()}, records)

    async def _close(self) -> None:
        try:
            if self._way_out is not None:
                await self._way_out.close()
        finally:
            await self._container.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives; a stop of the job cancels it."""
        loop = self._runner.get_loop()

        async def stoppable() -> T:
            task = asyncio.current_task()

            def stop() -> None:
                if task is not None:
                    loop.call_soon_threadsafe(task.cancel)

            with self._job.stoppable(stop):
                return await work

        try:
            result = self._runner.run(stoppable())
        except asyncio.CancelledError:
            self._job.check()
            raise InfrastructureError(f"The build ended during: {self._job.step}.") from None
        except InfrastructureError as error:
            self._job.check()
            what = f"The build sandbox died during: {self._job.step}. {error.message}"
            raise InfrastructureError(what, error.hint, cause=error.cause) from error
        except (OSError, FileProblem) as error:
            self._job.output(str(error))
            raise failure(self._job, f"{self._job.step} failed") from error
        finally:
            work.close()  # it may never have begun
        self._job.check()
        return result


@contextmanager
def build_room(
    job: Job, image: Mapping[str, Any], workspace: Base | None = None
) -> Iterator[BuildRoom]:
    """A build sandbox on `image` (as inspected), removed at the end, with the files of `workspace`
    where any sandbox has them. What its requests were is said at the end. Raises SetupError when
    the engine refuses, InfrastructureError when it dies.
    """
    room = BuildRoom(job, job.engine, image, workspace)
    try:
        room.start()
        yield room
    finally:
        room.close()
        room.requests.tell()


class _Lines:
    """Cuts a command's output into lines. `total` counts its bytes."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self.total = 0
        self._take = take
        self._pending = b""

    def take(self, data: bytes) -> None:
        self.total += len(data)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._take(line.decode(errors="replace"))

    def end(self) -> None:
        self._take(self._pending.decode(errors="replace"))
