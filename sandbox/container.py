"""A disposable container to work in: open, run, read, write, delta, apply, reset, fork, close."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from sandbox.background import Background, Backgrounds
from sandbox.controls import lacking
from sandbox.delta import BaseIndex, read_delta, read_files
from sandbox.egress.record import NetworkRequest
from sandbox.engine import Engine, shared_engine
from sandbox.errors import InfrastructureError, PatchError, UsageError
from sandbox.image import Image
from sandbox.lifecycle import Container, to_its_end
from sandbox.patch import DEFAULT_LIMITS, Patch, PatchLimits, check_patch
from sandbox.policy import MIB, Policy
from sandbox.prepare import fresh, open_way_out, rebuild_again, rebuild_first
from sandbox.products import Rebuilt
from sandbox.rebuild import Rebuild
from sandbox.recipe import Recipe
from sandbox.results import (
    CommandResult,
    FileInfo,
    FileProblem,
    Listing,
    Match,
    Output,
    SearchResult,
    listing,
)
from sandbox.search import search
from sandbox.terminal import join_terminal
from sandbox.threads import in_thread
from sandbox.trees import Base
from sandbox.upload import patch_records
from sandbox.wire import Wire

if TYPE_CHECKING:
    from sandbox.egress.wayout import WayOut

__all__ = [
    "Background",
    "CommandResult",
    "FileInfo",
    "FileProblem",
    "Listing",
    "Match",
    "NetworkRequest",
    "Output",
    "Rebuild",
    "Sandbox",
    "SearchResult",
]

MAX_LISTING = 32 * MIB
LARGEST_WRITE = 64 * MIB  # the supervisor holds it until it is complete
DEFAULT_READ = MIB
DEFAULT_ENTRIES = 2000
DEFAULT_MATCHES = 200


class Source(Protocol):
    """Where new sandboxes come from: a pool."""

    async def take(self, recipe: Recipe) -> "Sandbox":
        """A sandbox that was never used; the caller has to close it."""


class Sandbox:
    """A prepared base in a container of its own. Made by `open`; see there.

    All methods raise InfrastructureError when the container or its stream has died, and UsageError
    for what is too large to be asked. They may be called at the same time; what reads or changes
    the whole tree waits for its turn. The event loop must not be blocked for longer than the lease
    (60 seconds).
    """

    def __init__(self, container: Container, recipe: Recipe, engine: Engine) -> None:
        self.image = recipe.image
        self.base = recipe.base
        self.policy = recipe.policy
        self.rebuild = recipe.rebuild
        #: What the rebuild step made of the base, and when it ran last.
        self.prepared: Rebuilt | None = None
        self.rebuilt: Rebuilt | None = None
        self.delta_notes: tuple[str, ...] = ()
        self.on_request: Callable[[NetworkRequest], None] | None = None
        #: The controls that this engine does not have, in words.
        self.lacking: tuple[str, ...] = ()
        self._recipe = recipe
        self._way_out: WayOut | None = None
        self._engine = engine
        self._container = container
        self._wire = Wire(container, recipe.policy, recipe.folder)
        self._index = BaseIndex(recipe.base)
        self._tree = asyncio.Lock()
        self._background = Backgrounds(self._wire, recipe.policy)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        image: Image,
        base: Base,
        policy: Policy,
        *,
        rebuild: Rebuild | None = None,
        patch: Patch | None = None,
        support: Mapping[str, bytes] | None = None,
        resettable: bool = False,
        ca_bundle: bytes | None = None,
        on_request: Callable[[NetworkRequest], None] | None = None,
        engine: Engine | None = None,
    ) -> AsyncIterator["Sandbox"]:
        """A new container with the base in /workspace, its rebuild step run, `patch` applied.

        `support` files are placed read-only below /run/greenroom. A `resettable` one keeps a copy
        of the prepared base (which counts against its memory) for `reset`. Where the policy names
        places of the network, commands find a proxy that leads there and nowhere else, and are told
        to trust `ca_bundle` (PEM) for it; `on_request` is told of each request when it has
        ended, in the event loop. Raises SetupError when the engine or image is missing, UsageError
        when limits do not fit or the rebuild step fails on the base, PatchError when the patch
        cannot be applied.
        """
        recipe = Recipe(image, base, policy, rebuild, dict(support or {}), resettable, ca_bundle)
        async with cls.of(recipe, patch=patch, on_request=on_request, engine=engine) as box:
            yield box

    @classmethod
    @asynccontextmanager
    async def of(
        cls,
        recipe: Recipe,
        *,
        patch: Patch | None = None,
        on_request: Callable[[NetworkRequest], None] | None = None,
        pool: "Source | None" = None,
        engine: Engine | None = None,
    ) -> AsyncIterator["Sandbox"]:
        """As `open`; from `pool`, where there is one."""
        box = await (pool.take(recipe) if pool else cls.start_new(recipe, engine))
        box.on_request = on_request
        try:
            if patch:
                await box.apply(patch)
            yield box
        finally:
            await to_its_end(box.close())

    @classmethod
    async def start_new(cls, recipe: Recipe, engine: Engine | None = None) -> "Sandbox":
        """As `open`; the caller has to close it. What fails or is cancelled closes it itself."""
        recipe.policy.check(resettable=recipe.resettable)
        found = engine if engine is not None else await in_thread(shared_engine)
        found.check(recipe.policy)
        stays = recipe.policy.in_image  # what its files have become may be kept at its end
        box = cls(Container(found, recipe.policy, stays=stays), recipe, found)
        try:
            await box._prepare()
        except BaseException:
            await to_its_end(box.close())
            raise
        return box

    @property
    def alive(self) -> bool:
        """Whether nothing has been heard of its end."""
        return not self._container.channel.failure

    @property
    def rebuild_result(self) -> CommandResult | None:
        """How the rebuild step went when it ran last."""
        return self.rebuilt.result if self.rebuilt else None

    @property
    def processors(self) -> int:
        """How many the engine's machine has."""
        return self._engine.abilities.cpus

    @property
    def unexpected(self) -> tuple[str, ...]:
        """Those of `lacking` that the engine had not told of itself."""
        told = self._engine.abilities.lacking
        return tuple(name for name in self.lacking if name not in told)

    @property
    def folder(self) -> str:
        """The workspace's absolute path inside."""
        return self._recipe.folder

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def container_id(self) -> str:
        return self._container.ident

    @property
    def requests(self) -> Sequence[NetworkRequest]:
        """The last requests that left by the way out, or were refused there, the oldest first."""
        return self._way_out.requests if self._way_out else ()

    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        output_limit: int | None = None,
        events_limit: int = 0,
        on_output: Callable[[bytes], None] | None = None,
        on_events: Callable[[bytes], None] | None = None,
    ) -> CommandResult:
        """Run a command under the sandbox's uid; text runs under `bash -c`. Everything it started
        is dead when this returns; cancelling kills it.

        `cwd` is relative to the workspace. `timeout` (seconds) and `output_limit` (bytes kept of
        standard output and standard error together) are the policy's unless given. With
        `events_limit`, the command finds in GREENROOM_EVENTS_FD a descriptor whose bytes come back
        as `events`, up to the limit. `on_output` sees output as it comes, its first MiB at most,
        `on_events` all events; what they raise is raised here. A program that does not exist ends
        with 127, as in a shell. Raises FileNotFoundError, NotADirectoryError or FileProblem for a
        bad `cwd`, UsageError for a command or an input that is too large.
        """
        return await self._wire.run(
            ["bash", "-c", command] if isinstance(command, str) else command,
            cwd=cwd,
            env=env,
            stdin=stdin,
            seconds=timeout,
            output_limit=output_limit,
            events_limit=events_limit,
            on_output=on_output,
            on_events=on_events,
        )

    async def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Background:
        """Start a command that runs on, as a server under test; it ends at the latest after
        `timeout` seconds (an hour, unless given), with a reset, or with the sandbox. Raises
        UsageError when the policy's `background` allows no further one, and FileProblem when there
        is no process left for it."""
        argv = ["bash", "-c", command] if isinstance(command, str) else command
        return await self._background.start(argv, cwd=cwd, env=env or {}, seconds=timeout)

    async def read(self, path: str, *, limit: int = DEFAULT_READ) -> bytes:
        """A regular file's content. Raises FileNotFoundError, IsADirectoryError,
        NotADirectoryError, and FileProblem for all else, a file over `limit` bytes included."""
        request = {"op": "read", "path": path, "limit": limit}
        return bytes(await self._wire.collect(request, limit, path))

    async def write(self, path: str, content: bytes, *, executable: bool | None = None) -> None:
        """Write a whole file, making its folders. `executable` None keeps the mode it has. Raises
        as `read` does."""
        if len(content) > LARGEST_WRITE:
            raise FileProblem(path, f"would have {len(content):,} bytes, over {LARGEST_WRITE:,}")
        request = {"op": "write", "path": path, "executable": executable}
        await self._wire.send(request, iter([content]), path)

    async def remove(self, path: str) -> None:
        """Remove a file or a whole folder. Raises as `read` does."""
        await self._wire.ask({"op": "remove", "path": path}, path)

    async def list(
        self, path: str = ".", *, depth: int = 1, limit: int = DEFAULT_ENTRIES
    ) -> Listing:
        """What is in a folder, `depth` levels down. Raises as `read` does."""
        request = {"op": "list", "path": path, "depth": depth, "limit": limit}
        return await self._wire.report(request, listing, MAX_LISTING, path)

    async def search(
        self,
        pattern: str,
        *,
        path: str = ".",
        glob: str | None = None,
        literal: bool = False,
        limit: int = DEFAULT_MATCHES,
    ) -> SearchResult:
        """Lines that a regular expression (Python's) or a literal text matches, in text files
        below `path` whose path or name matches `glob`; by-products are passed over. Raises
        FileProblem for a pattern that is malformed or takes too long."""
        return await search(self._wire, pattern, path=path, glob=glob, literal=literal, limit=limit)

    async def shell(self, *, cwd: str = ".") -> int:
        """Join this process's terminal to a login shell in the sandbox: its exit code."""
        return await join_terminal(self._wire, self._container.channel, cwd)

    async def delta(self) -> Patch:
        """What differs from the prepared base, as a patch on the base tree. Ignored files and
        by-products are left out; what cannot be in a patch (links, pipes, repositories inside,
        unreadable files) is left out and named in `delta_notes`. Raises PatchError when there are
        too many changes or bytes."""
        if self.policy.in_image:
            raise UsageError("What a sandbox makes of its image's own folders is no patch.")
        async with self._tree:
            patch, self.delta_notes = await read_delta(self._wire, self._index)
            return patch

    async def files(
        self, paths: Iterable[str], limits: PatchLimits = DEFAULT_LIMITS
    ) -> tuple[Patch, tuple[str, ...]]:
        """What is at `paths` now, ignored files too, as a patch on the base tree, and those paths
        where no regular file can be read. A file that a patch may not name has to be left out by
        the caller. Raises PatchError when they have more than `limits.total_bytes`."""
        async with self._tree:
            return await read_files(self._wire, self._index, paths, limits)

    async def apply(
        self, patch: Patch, *, rebuild: bool = True, limits: PatchLimits = DEFAULT_LIMITS
    ) -> CommandResult | None:
        """Write a patch into the workspace; when the rebuild step depends on what it changes, run
        that (unless `rebuild` is false) and give its result. Raises PatchError when it cannot be
        applied."""
        async with self._tree:
            return await self._apply(patch, rebuild=rebuild, limits=limits)

    async def reset(self, patch: Patch | None = None) -> None:
        """Kill everything, put all writable places back to how the base was prepared, and apply
        `patch`. Raises UsageError unless opened with `resettable`."""
        if not self._recipe.resettable:
            raise UsageError("This sandbox was not opened as resettable.")
        async with self._tree:
            self._background.forget()
            try:
                await self._wire.ask({"op": "reset"})
            except (OSError, FileProblem) as error:
                raise InfrastructureError(f"The sandbox could not be reset: {error}") from error
            if patch:
                await self._apply(patch)

    @asynccontextmanager
    async def fork(
        self, *, patch: Patch | None = None, pool: "Source | None" = None
    ) -> AsyncIterator["Sandbox"]:
        """A new sandbox, from `pool` if there is one, on the same image, base and policy, with
        `patch` (this one's delta, unless given). Raises as `open` and `delta` do."""
        patch = await self.delta() if patch is None else patch
        async with self.of(
            self._recipe,
            patch=patch,
            on_request=self.on_request,
            pool=pool,
            engine=self._engine,
        ) as box:
            yield box

    async def close(self) -> None:
        """Kill everything and remove the container; returns when it is gone."""
        try:
            if self._way_out:
                await self._way_out.close()
        finally:
            await self._container.close()

    async def _prepare(self) -> None:
        reply, private = await fresh(self._container, self._wire, self._recipe, self._index)
        self.lacking = lacking(reply, self.policy, self._engine.abilities, private)
        if self.policy.network:
            told = self._tell
            self._way_out = await open_way_out(self._container, self._wire, self.policy, told)
        if self.rebuild is not None and not self.rebuild.prepared:
            self.prepared = await rebuild_first(self._wire, self.rebuild, self._index)
            self.rebuilt = self.prepared
        if self._recipe.resettable:
            await self._wire.ask({"op": "pack"})

    def _tell(self, request: NetworkRequest) -> None:
        if self.on_request is not None:
            self.on_request(request)

    async def _apply(
        self, patch: Patch, *, rebuild: bool = True, limits: PatchLimits = DEFAULT_LIMITS
    ) -> CommandResult | None:
        modes = {path: entry.mode for path, entry in self._index.entries.items()}
        check_patch(patch, limits, modes)
        try:
            await self._wire.send({"op": "apply"}, patch_records(patch))
        except (OSError, FileProblem) as error:
            raise PatchError(f"The patch could not be applied: {error}") from error
        if self.rebuild is None or not rebuild or not self.rebuild.needed_for(patch):
            return None
        self.rebuilt = await rebuild_again(self._wire, self.rebuild, self._index)
        return self.rebuilt.result
