"""A container from its creation to its removal: nothing of it stays, whatever happens between."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sandbox.abilities import Abilities
from sandbox.buildjob import DISK_FULL
from sandbox.channel import Channel
from sandbox.ending import HINTS, Ending, why_ended, why_silent
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError, SetupError
from sandbox.leftovers import owner_labels, remove_leftovers
from sandbox.policy import Policy
from sandbox.profile import container_config
from sandbox.scratch import process_folder
from sandbox.source import supervisor_source
from sandbox.threads import in_thread

T = TypeVar("T")
# High and unique: limits per user (inotify, pipes) are then not shared with any other sandbox or
# with a user of this machine.
FIRST_UID, LAST_UID = 0x10000000, 0x6FFFFFFF
FIRST_MAPPED_UID, LAST_MAPPED_UID = 20_000, 60_000
REMOVAL_SECONDS = 10.0


def new_uid(*, mapped: bool) -> int:
    """A uid for one sandbox; of the few that there are when the engine maps them."""
    first, last = (FIRST_MAPPED_UID, LAST_MAPPED_UID) if mapped else (FIRST_UID, LAST_UID)
    return first + secrets.randbelow(last - first)


class Container:
    """One container with a supervisor in it, and the channel to that. One that `stays` is there,
    until it is closed, when it has ended."""

    def __init__(self, engine: Engine, policy: Policy, *, stays: bool = False) -> None:
        self._engine = engine
        self._policy = policy
        self._stays = stays
        self.name = f"greenroom-{secrets.token_hex(8)}"
        self.uid = 0 if policy.as_root else new_uid(mapped=engine.abilities.maps_uids)
        self.ident = ""
        self._created = False
        self._engine_gone = False
        self._channel: Channel | None = None
        self._asking = asyncio.Lock()

    @property
    def channel(self) -> Channel:
        """The channel. Raises InfrastructureError when the container is not open."""
        if self._channel is None:
            raise InfrastructureError("The sandbox is not open.")
        return self._channel

    @property
    def abilities(self) -> Abilities:
        """Those of its engine."""
        return self._engine.abilities

    async def start(self, image: str, *, private_bytes: int) -> None:
        """Create the container, attach, start it, and send the supervisor; `private_bytes` is the
        size of its own folder. Raises SetupError when
        the image is missing or the engine refuses, InfrastructureError when it fails later or is
        gone."""
        api = self._engine.api
        sweep = asyncio.ensure_future(in_thread(_sweep, api))
        try:
            self._created = True
            self.ident = await self._call(lambda: self._create(image, private_bytes))
            self._channel = await Channel.attach(
                self._engine.address, self._engine.api_version, self.ident, self._look
            )
            self._channel.write(supervisor_source())
            await self._call(lambda: api.start(self.ident))
        finally:
            await to_its_end(sweep)

    async def close(self) -> None:
        """End everything inside and remove the container; returns when it is gone. One whose
        engine is known to be gone is left for the next start to remove."""
        if self._channel is not None:
            self._engine_gone |= self._channel.cause == "engine"
            await self._channel.close()
        if self._created:
            await to_its_end(in_thread(self._remove))

    async def explained(self, error: InfrastructureError) -> InfrastructureError:
        """`error` with what took the container away, as far as the engine knows that."""
        if error.cause or self._channel is None or not self._channel.failure:
            return error
        async with self._asking:
            if not self._channel.cause:
                said = self._channel.diagnostics
                end = await in_thread(why_ended, self._engine.api, self.ident, said)
                self._channel.explain(end.words, end.cause)
        return self._channel.error

    async def gave_no_answer(self, seconds: float) -> InfrastructureError:
        """What to raise when an answer is overdue; ends the container."""
        found = Ending("silent", f"it did not answer within {seconds:g} seconds")
        try:
            end = await in_thread(why_silent, self._engine.api, self.ident) or found
        except OSError:
            end = Ending("engine", f"{found.words}, and neither does the engine")
        self.channel.fail(end.words, end.cause)
        return self.channel.error

    async def _look(self) -> None:
        """See why nothing was heard for some time: one that is only busy is let be."""
        # Whether an engine that does not answer is gone, the requests' own deadlines decide.
        with contextlib.suppress(OSError):
            end = await in_thread(why_silent, self._engine.api, self.ident)
            if end is not None and self._channel is not None:
                self._channel.fail(end.words, end.cause)

    async def _call(self, work: Callable[[], Any]) -> Any:
        """Call the engine in a thread. A call that has begun is waited for, also when cancelled:
        what it made has to be known to be removed."""
        import docker  # noqa: PLC0415

        try:
            return await to_its_end(in_thread(work))
        except docker.errors.ImageNotFound as error:
            raise SetupError(
                f"The sandbox image is not there: {error.explanation}",
                "It may have been removed: run the command again to have it prepared.",
            ) from error
        except docker.errors.NotFound as error:
            raise InfrastructureError(
                f"The sandbox {self.name} is gone: it was removed before it had started.",
                HINTS["killed"],
                cause="killed",
            ) from error
        except docker.errors.APIError as error:
            raise _refused(str(error.explanation or error)) from error
        except OSError as error:
            self._engine_gone = True
            raise InfrastructureError(
                f"The Docker engine does not answer: {error}", HINTS["engine"], cause="engine"
            ) from error

    def _create(self, image: str, private_bytes: int) -> str:
        import docker  # noqa: PLC0415

        process_folder()  # whatever happens from here on, its janitor removes what is left

        def create() -> str:
            config = container_config(
                self._policy,
                # Root has its account entry in every image, and may want to add others.
                image if self._policy.as_root else self._engine.ready_image(image),
                self.uid,
                owner_labels(),
                private_bytes=private_bytes,
                abilities=self._engine.abilities,
                stays=self._stays,
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
                # The engine is removing it by itself, for it ended; Podman says that otherwise.
                if error.status_code != 409 and "state improper" not in str(error.explanation):
                    raise InfrastructureError(
                        f"The sandbox {self.name} could not be removed: {error.explanation}"
                    ) from error
            except OSError as error:
                if self._engine_gone:
                    return
                raise InfrastructureError(
                    f"The sandbox {self.name} could not be removed: the engine does not answer.",
                    HINTS["engine"],
                    cause="engine",
                ) from error
            time.sleep(0.005)


def _refused(said: str) -> SetupError:
    """What to raise when the engine answers a creation or a start with an error."""
    if DISK_FULL.search(said):
        return SetupError(
            f"The disk of the Docker engine is full, so no sandbox was started: {said}",
            HINTS["disk"],
            cause="disk",
        )
    return SetupError(f"The Docker engine did not start a sandbox: {said}", "See `docker info`.")


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
