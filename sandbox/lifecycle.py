"""A container from its creation to its removal: nothing of it stays, whatever happens between."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sandbox.channel import Channel
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError, SetupError
from sandbox.leftovers import owner_labels, remove_leftovers
from sandbox.policy import Policy
from sandbox.profile import container_config
from sandbox.source import supervisor_source

T = TypeVar("T")
# High and unique: limits per user (inotify, pipes) are then not shared with any other sandbox or
# with a user of this machine.
FIRST_UID, LAST_UID = 0x10000000, 0x6FFFFFFF
FIRST_MAPPED_UID, LAST_MAPPED_UID = 20_000, 60_000
REMOVAL_SECONDS = 10.0
OUT_OF_MEMORY = 137
# An end is looked for among the engine's recent events, which come a moment after the stream ends.
RECENT_SECONDS, EVENT_SECONDS = 60.0, 0.3


def new_uid(*, mapped: bool) -> int:
    """A uid for one sandbox; of the few that there are when the engine maps them."""
    first, last = (FIRST_MAPPED_UID, LAST_MAPPED_UID) if mapped else (FIRST_UID, LAST_UID)
    return first + secrets.randbelow(last - first)


class Container:
    """One container with a supervisor in it, and the channel to that."""

    def __init__(self, engine: Engine, policy: Policy) -> None:
        self._engine = engine
        self._policy = policy
        self.name = f"greenroom-{secrets.token_hex(8)}"
        self.uid = new_uid(mapped=engine.abilities.maps_uids)
        self.ident = ""
        self._created = False
        self._channel: Channel | None = None

    @property
    def channel(self) -> Channel:
        """The channel. Raises InfrastructureError when the container is not open."""
        if self._channel is None:
            raise InfrastructureError("The sandbox is not open.")
        return self._channel

    async def start(self, image: str, *, private_bytes: int) -> None:
        """Create the container, attach, start it, and send the supervisor; `private_bytes` is the
        size of its own folder. Raises SetupError when
        the image is missing or the engine refuses, InfrastructureError when it fails later."""
        api = self._engine.api
        sweep = asyncio.ensure_future(asyncio.to_thread(_sweep, api))
        try:
            self._created = True
            self.ident = await self._call(lambda: self._create(image, private_bytes))
            self._channel = await Channel.attach(
                self._engine.address, self._engine.api_version, self.ident
            )
            self._channel.write(supervisor_source())
            await self._call(lambda: api.start(self.ident))
        finally:
            await to_its_end(sweep)

    async def close(self) -> None:
        """End everything inside and remove the container; returns when it is gone."""
        if self._channel is not None:
            await self._channel.close()
        if self._created:
            await to_its_end(asyncio.to_thread(self._remove))

    async def last_words(self) -> str:
        """Why the container ended, as far as the engine knows; "" when it knows nothing."""
        if not self.ident:
            return ""
        return await asyncio.to_thread(self._post_mortem)

    async def _call(self, work: Callable[[], Any]) -> Any:
        """Call the engine in a thread. A call that has begun is waited for, also when cancelled:
        what it made has to be known to be removed."""
        import docker  # noqa: PLC0415

        try:
            return await to_its_end(asyncio.to_thread(work))
        except docker.errors.ImageNotFound as error:
            raise SetupError(
                f"The sandbox image is not there: {error.explanation}",
                "It may have been removed: run the command again to have it prepared.",
            ) from error
        except docker.errors.APIError as error:
            raise SetupError(
                f"The Docker engine did not start a sandbox: {error.explanation or error}",
                "See `docker info`, and that the disk is not full.",
            ) from error
        except OSError as error:
            raise InfrastructureError(f"The Docker engine does not answer: {error}") from error

    def _create(self, image: str, private_bytes: int) -> str:
        import docker  # noqa: PLC0415

        def create() -> str:
            config = container_config(
                self._policy,
                self._engine.ready_image(image),
                self.uid,
                owner_labels(),
                private_bytes=private_bytes,
                abilities=self._engine.abilities,
            )
            return self._engine.create(config, self.name)

        try:
            return create()
        except docker.errors.ImageNotFound:
            # The layer with the accounts may have been removed since it was looked up.
            self._engine.forget_image(image)
            return create()

    def _remove(self) -> None:
        import docker  # noqa: PLC0415

        api = self._engine.api
        deadline = time.monotonic() + REMOVAL_SECONDS
        while time.monotonic() < deadline:
            try:
                api.remove_container(self.name, force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                # The engine is removing it by itself, for it ended.
                if error.status_code != 409:
                    raise InfrastructureError(
                        f"The sandbox {self.name} could not be removed: {error.explanation}"
                    ) from error
            except OSError as error:
                raise InfrastructureError(
                    f"The sandbox {self.name} could not be removed: the engine does not answer."
                ) from error
            time.sleep(0.005)

    def _post_mortem(self) -> str:
        events = self._engine.api.events(
            since=f"{time.time() - RECENT_SECONDS:.3f}",
            until=f"{time.time() + EVENT_SECONDS:.3f}",
            # Podman's filter wants its own word for the latter.
            filters={"container": self.ident, "event": ["oom", "die", "died"]},
            decode=True,
        )
        with contextlib.suppress(OSError, ValueError):
            said = {event.get("Action"): event for event in events}
            if "oom" in said:
                return "it ran out of memory"
            code = said.get("die", {}).get("Actor", {}).get("Attributes", {}).get("exitCode", "")
            if code == str(OUT_OF_MEMORY):
                return "it was killed"
            if code not in ("", "0"):
                return f"its supervisor ended with status {code}"
        return ""


def _sweep(api: Any) -> None:
    # What cannot be removed is old, and no reason not to work; `greenroom prune` says it.
    with contextlib.suppress(OSError):
        remove_leftovers(api)


async def to_its_end(work: Awaitable[T]) -> T:
    """Wait for `work` to its end even when cancelled, then be cancelled."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:
            # It is raised from the result below.
            break
    if cancelled is not None:
        if not task.cancelled():
            task.exception()
        raise cancelled
    return task.result()
