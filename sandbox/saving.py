"""What a sandbox made of its image's own files, kept as an image that a fresh one can open.

Nothing of it runs any more when it is kept: the engine kills the container first. The next sandbox
on that image starts with its python3, which commands that were root may have put another one for;
so what the supervisor runs from is noted before any of them ran, and compared with what the engine
says that they changed.
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from sandbox.baseimage import inspect
from sandbox.buildjob import BuildSettings, Job
from sandbox.commit import commit
from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError, SetupError
from sandbox.image import Image
from sandbox.layerchecks import changes_in, other_library
from sandbox.lifecycle import to_its_end
from sandbox.naming import image_labels
from sandbox.policy import MIB
from sandbox.runtimeguard import Runtime, ask, asks_loader, runtime
from sandbox.threads import in_thread

_ANSWER_BYTES = 8 * MIB
_KIND = "handed"


@dataclass(frozen=True)
class Saved:
    """An image of what a sandbox was when it ended. `changes` are the paths that differ from the
    image it was opened on, with the engine's kind (0 modified, 1 added, 2 deleted). `touched` is
    one that a supervisor runs from: then no answer of a sandbox on this image can be believed.
    """

    image: Image
    changes: Mapping[str, int]
    touched: str = ""


async def note(box: Sandbox) -> Runtime:
    """What the supervisor runs from, in a sandbox in which nothing else has run yet. Raises
    SetupError where its Python cannot tell."""
    told = await box.run(
        ["python3", "-I", "-S", "-c", ask()], cwd="/", output_limit=_ANSWER_BYTES, timeout=60.0
    )
    if not told.ok:
        raise SetupError(f"The image's python3 does not run: {told.output.text.strip()[-500:]}")
    return runtime(told.output.text)


async def end(box: Sandbox) -> None:
    """Kills everything in a sandbox that works in its image; its files stay to be looked at until
    it is closed. Raises InfrastructureError where it was gone already."""
    await in_thread(_end, box.engine, box.container_id)


@asynccontextmanager
async def saved(box: Sandbox, guarded: Runtime) -> AsyncIterator[Saved]:
    """A sandbox that was ended, as an image, which is removed at the end. Raises SetupError when it
    cannot be saved."""
    made = await to_its_end(in_thread(_save, box, guarded))
    try:
        yield made
    finally:
        await to_its_end(in_thread(_remove, box.engine, made.image.name))


def _end(engine: Engine, container: str) -> None:
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        engine.api.kill(container)
        engine.api.wait(container)
    except DockerException as error:
        raise InfrastructureError(f"The sandbox was gone before it was kept: {error}") from error


def _save(box: Sandbox, guarded: Runtime) -> Saved:
    job = Job(BuildSettings.from_environment(), lambda _line: None)
    job.engine, job.api = box.engine, box.engine.api
    job.begin("keeping what the sandbox made of its image")
    changes, touched = changes_in(job, box.container_id, guarded)
    given = inspect(job.api, box.image.reference)
    if given is None:
        raise InfrastructureError("The image of a sandbox was removed while it ran.")
    key = secrets.token_hex(8)
    labels = image_labels(key, box.image.origin, what="handed in", parent=given["Id"])
    made = commit(job, box.container_id, given["Config"], labels)
    job.api.tag(made, f"greenroom/{_KIND}", key)
    if not touched and asks_loader(changes, guarded):
        touched = other_library(job, made, guarded)
    image = replace(box.image, reference=made, name=f"greenroom/{_KIND}:{key}")
    return Saved(image, changes, touched)


def _remove(engine: Engine, name: str) -> None:
    from docker.errors import NotFound  # noqa: PLC0415

    with suppress(NotFound):
        engine.api.remove_image(name, force=True)


async def folder_of(image: Image, engine: Engine) -> str:
    """The working folder that an image names; the top where it names none."""
    found = await in_thread(inspect, engine.api, image.reference)
    return str((found or {}).get("Config", {}).get("WorkingDir") or "/")
