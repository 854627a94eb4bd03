"""Attempts on the nodes of a Ray cluster that is there already.

A node takes part when it offers the resource `sandbox`; how much of it is how many attempts it does
at a time. On each one process does them all, so images are prepared once and rooms are kept warm
there. A node that is lost takes its attempts with it: they are begun again elsewhere, and since
only what is sent back to here is logged, none is counted twice.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.bench.job import End, Job, Paused
from agent.bench.node import Node, Reply, Setup, pack, unpack
from agent.bench.results import unfinished
from agent.runs import Run
from sandbox.errors import SetupError, UsageError
from sandbox.image import Image, ImageSpec
from sandbox.threads import in_thread

RESOURCE = "sandbox"
#: How often an attempt may lose its node.
LOSSES = 5
#: Seconds between two looks at which nodes there are.
_LOOK = 5.0
_CLOSE_SECONDS = 30.0
_REACH_SECONDS = 5.0

Say = Callable[[str], None]
Made = Callable[[ImageSpec, Image], None]


@dataclass
class _Member:
    """A node that does jobs, or is about to."""

    id: str
    address: str
    room: int
    actor: Any
    busy: int = 0
    ready: bool = False
    problem: str = ""


class RayEngine:
    """An `agent.bench.job.Engine` on a cluster. Used as a context manager; belongs to one loop."""

    def __init__(self, setup: Setup, address: str, say: Say, made: Made) -> None:
        """`made` is told of the images that nodes made, of each at least once."""
        self._setup = setup
        self._address = address
        self._say = say
        self._made = made
        self._members: dict[str, _Member] = {}
        #: Nodes that were lost, which the cluster may still take for alive.
        self._gone: set[str] = set()
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False

    async def __aenter__(self) -> "RayEngine":
        await in_thread(self._connect)
        try:
            await self._look()
            if not self._members:
                raise UsageError(
                    f"no node of the Ray cluster offers the resource {RESOURCE}",
                    f"Start nodes so: ray start --address=HEAD --resources='{{\"{RESOURCE}\": 8}}'",
                )
            self._begin(self._keep_looking())
            await self._first()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: Any) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        closing = [member.actor.close.remote() for member in self._members.values()]
        if closing:
            await asyncio.wait(
                [asyncio.wrap_future(c.future()) for c in closing], timeout=_CLOSE_SECONDS
            )
        await in_thread(_ray().shutdown)

    @property
    def room(self) -> int:
        """How many attempts the nodes do at a time that are ready or may be."""
        return sum(member.room for member in self._members.values() if not member.problem)

    @property
    def proving(self) -> int:
        return 0

    def expect(self, jobs: tuple[Job, ...]) -> None:
        """Which node will do them is not known, so each prepares its images as they are needed."""

    def allow(self, turns: int) -> None:
        """The runner starts no more attempts than that; nodes bound nothing beyond."""

    def drain(self) -> None:
        self._draining = True
        for member in self._members.values():
            member.actor.drain.remote()

    async def attempt(self, job: Job) -> End:
        run = Run(job.path)
        for _ in range(LOSSES):
            reply = await self._somewhere(job)
            if reply is None:
                continue
            job.path.parent.mkdir(parents=True, exist_ok=True)
            await in_thread(unpack, reply.folder, job.path)
            for image in reply.images:
                self._made(self._setup.specs[job.task], image)
            if reply.result is None:
                raise Paused
            return End(reply.result, reply.again)
        reason = f"{LOSSES} nodes were lost while they worked on it"
        return End(await in_thread(unfinished, job, run, "infrastructure failed", reason))

    async def _somewhere(self, job: Job) -> Reply | None:
        """A job done on a node with room for it; None when that node was lost."""
        member = await self._free()
        try:
            folder = await in_thread(pack, job.path)
            patch = await in_thread(_read, Path(job.patch)) if job.patch else None
            asked = member.actor.attempt.remote(job.as_dict(), folder, patch)
            try:
                reply: Reply = await asked
            except asyncio.CancelledError:
                _ray().cancel(asked, recursive=False)
                raise
            return reply
        except _ray().exceptions.RayActorError:
            await self._lost(member)
            return None
        finally:
            member.busy -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _free(self) -> _Member:
        """The node with the most room, once there is one; a place on it is taken."""
        async with self._changed:
            while True:
                if self._draining:
                    raise Paused
                members = [m for m in self._members.values() if m.ready and m.busy < m.room]
                if members:
                    found = max(members, key=lambda member: member.room - member.busy)
                    found.busy += 1
                    return found
                await self._changed.wait()

    async def _lost(self, member: _Member) -> None:
        self._gone.add(member.id)
        if self._members.pop(member.id, None) is not None:
            self._say(f"node {member.address} was lost; its attempts are begun again elsewhere")

    # Which nodes there are.

    def _connect(self) -> None:
        # Ray tells its makers how it is used, unless it is told not to.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        ray = _ray()
        # What a node says as it dies would come to standard output, amid ours. There is no setting.
        if hasattr(ray._private.worker, "print_to_stdstream"):
            ray._private.worker.print_to_stdstream = lambda *_, **__: None
        _check_reachable(self._address)
        try:
            ray.init(
                address=self._address,
                namespace="greenroom",
                log_to_driver=False,
                configure_logging=False,
            )
        except ConnectionError as problem:
            raise _unanswered(self._address, problem) from None

    async def _look(self) -> None:
        """Takes in nodes that are new, and lets go of those that are dead."""
        nodes = await in_thread(_ray().nodes)
        alive = {node["NodeID"]: node for node in nodes if node["Alive"]}
        for id in [id for id in self._members if id not in alive]:
            await self._lost(self._members[id])
        for id, node in alive.items():
            room = int(node["Resources"].get(RESOURCE, 0))
            if room and id not in self._members and id not in self._gone:
                actor = self._actor(id, room)
                self._members[id] = _Member(id, node["NodeManagerAddress"], room, actor)
                self._begin(self._open(self._members[id]))

    def _actor(self, id: str, room: int) -> Any:
        ray = _ray()
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(id, soft=False)
        made = ray.remote(Node).options(
            num_cpus=0,
            resources={RESOURCE: room},
            # Beside the attempts: opening, draining, closing.
            max_concurrency=room + 4,
            scheduling_strategy=strategy,
            runtime_env={"env_vars": {"PYTHONSAFEPATH": "1", "RAY_USAGE_STATS_ENABLED": "0"}},
        )
        return made.remote(self._setup, room)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            await self._look()

    async def _open(self, member: _Member) -> None:
        try:
            message, hint = await member.actor.open.remote()
        except _ray().exceptions.RayActorError as problem:
            message, hint = f"it could not be started: {' '.join(str(problem).split())[:300]}", ""
        if message:
            member.problem = f"{message} {hint}".strip()
            self._say(f"node {member.address} takes no part: {member.problem}")
        else:
            member.ready = True
            self._say(f"node {member.address} is ready: up to {member.room} attempts at a time")
        async with self._changed:
            self._changed.notify_all()

    async def _first(self) -> None:
        """Until a node is ready. Raises SetupError when none can be."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    any(m.ready for m in self._members.values())
                    or all(m.problem for m in self._members.values())
                )
            )
        if not any(member.ready for member in self._members.values()):
            problems = {member.problem for member in self._members.values()}
            raise SetupError(f"no node of the cluster can take part: {'; '.join(problems)}")

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _closed(member: _Member) -> None:
    with suppress(_ray().exceptions.RayError):  # it is gone already
        await member.actor.close.remote()


def _check_reachable(address: str) -> None:
    """Raises SetupError where nothing listens at HOST:PORT: Ray would go on trying for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()
    except (OSError, OverflowError) as problem:
        raise _unanswered(address, problem) from None


def _unanswered(address: str, problem: Exception) -> SetupError:
    return SetupError(
        f"no Ray cluster answers at {address}: {problem}",
        "Start one with `ray start --head`, or name its address with --ray-address.",
    )


def _read(path: Path) -> bytes | None:
    """A diff that was given; None where none was."""
    return path.read_bytes() if path.exists() else None


def _ray() -> Any:
    """The library, which only this engine needs. Raises SetupError where it is not there."""
    try:
        import ray  # noqa: PLC0415
        import ray.exceptions  # noqa: PLC0415
        import ray.util.scheduling_strategies  # noqa: PLC0415
    except ImportError:
        raise SetupError(
            "--engine ray takes the package ray, which is not there.",
            "Install it on every node: uv tool install 'greenroom[ray]'",
        ) from None
    return ray
