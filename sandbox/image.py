"""An ImageSpec to an image: base, then dependency layers, each cached by its content.

Every image of ours is tagged `greenroom/KIND:KEY` and labelled, so that it is found again by one
inspection, and by `greenroom prune --images`.
"""

import asyncio
import fcntl
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sandbox.baseimage import build_own_base, inspect, own_base_key
from sandbox.buildjob import BuildSettings, Job, Progress
from sandbox.cache import cache_folder
from sandbox.checkoutbuild import CheckoutBuild
from sandbox.engine import Engine, shared_engine
from sandbox.errors import InfrastructureError, UsageError
from sandbox.givenimage import check_platform, given_base, given_key, prepare_given
from sandbox.imageenv import may_be_set
from sandbox.imagestore import keep_within, lock_file, mark_used
from sandbox.install import Install
from sandbox.layerplan import layers_of
from sandbox.layers import build_layer
from sandbox.naming import KEY_LABEL, ORIGIN_LABEL, digest
from sandbox.podman import short_name
from sandbox.redaction import secrets_in
from sandbox.scratch import process_folder
from sandbox.trees import Base

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
# As the engine's own grammar has it: a name with a registry, a tag and a digest, or an id.
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    r"(?:(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::[0-9]+)?/)?"
    rf"{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
    r"|(?:sha256:)?[0-9a-f]{6,64}"
)
_HEARTBEAT = 10.0  # seconds of silence after which a long step says that it still runs
_STOP_SECONDS = 5.0  # how long a cancelled build may take to end
_REQUEST_SECONDS = 900.0  # without an answer, while building


@dataclass(frozen=True)
class ImageSpec:
    """What an image must hold, as plain data.

    `base` is an image's name or id, None for Greenroom's own (Dockerfile.sandbox). `dockerfile` is
    the path of one in the checkout, to be built instead, with `context`, `target` and `build_args`
    as in `CheckoutBuild`. `variables` are `NAME=value` for every sandbox of the image. `apt` are
    Debian packages, `installs` what a repository's own files have installed, `pip` requirement
    strings for the system's Python. `create` and `setup` are shell commands, which run as root
    while the image is built; the first among the checkout's files, run again when `create_inputs`
    is another, which stands for those that matter to them. A Dockerfile, variables and commands may
    only come from trusted settings.
    """

    base: str | None = None
    dockerfile: str | None = None
    context: str = ""
    target: str | None = None
    build_args: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    installs: tuple[Install, ...] = ()
    pip: tuple[str, ...] = ()
    create: tuple[str, ...] = ()
    create_inputs: str = ""
    setup: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises UsageError for a name that apt or pip would read as something else."""
        for name in self.apt:
            if not _PACKAGE.fullmatch(name):
                raise UsageError(
                    f"{name!r} is not the name of a Debian package.",
                    'Give each by itself: apt = ["jq", "tree"], or --apt jq --apt tree.',
                )
        for install in self.installs:
            install.check()
        for requirement in self.pip:
            # As it stands, not stripped: str.strip() takes line breaks too, pip would see them.
            text = requirement.lstrip(" ")
            if not text or text.startswith("-") or not text.isprintable():
                raise UsageError(
                    f"{requirement!r} is not a Python requirement.",
                    "Write a name with an optional version, as `requests>=2.31`.",
                )
        for variable in self.variables:
            if not may_be_set(variable):
                raise UsageError(f"{variable!r} cannot be a variable of an image.")
        if self.base is not None and not _REFERENCE.fullmatch(self.base):
            raise UsageError(
                f"{self.base!r} is not the name of an image.",
                "Write one as `python:3.13-slim`, `registry.example/team/image@sha256:...` or an "
                "id.",
            )
        if self.base is not None and self.dockerfile is not None:
            raise UsageError(
                f"An image is named ({self.base}), and a Dockerfile ({self.dockerfile}) too.",
                "Give one of the two.",
            )


@dataclass(frozen=True)
class Image:
    """An image that is here. `reference` is its id (sha256:...), `name` its tag; `origin` says
    where its base came from: a name with the registry's digest, or the bootstrapped release.
    """

    reference: str
    name: str
    origin: str = ""
    spec: ImageSpec = ImageSpec()

    def as_dict(self) -> dict[str, Any]:
        """For the record of a run."""
        return {
            "id": self.reference,
            "name": self.name,
            "origin": self.origin,
            **asdict(self.spec),
            "installs": [install.as_dict() for install in self.spec.installs],
        }


async def ensure_image(
    spec: ImageSpec,
    *,
    engine: Engine | None = None,
    progress: Progress = lambda _line: None,
    live: Progress | None = None,
    settings: BuildSettings | None = None,
    cache: Path | None = None,
    checkout: Base | None = None,
) -> Image:
    """The image of `spec`, built where it is not here yet; a few milliseconds when it is.

    `progress` is called in the event loop with a line at a time, some of what programs print among
    them, indented; with `live` that gets all of it instead.
    `cache` is the folder for locks and scratch, `checkout` what a Dockerfile's files are taken
    from. Raises UsageError for a bad spec and SetupError,
    with the failing step and its last lines, when it cannot be built; a cancelled build leaves
    no container.
    """
    spec.check()
    loop = asyncio.get_running_loop()

    def in_loop(say: Progress) -> Progress:
        def call(line: str) -> None:
            loop.call_soon_threadsafe(say, line)

        return call

    build = settings or BuildSettings.from_environment()
    job = Job(build, in_loop(progress), in_loop(live) if live else None)
    job.secrets += secrets_in([*spec.pip, *spec.create, *spec.setup])
    work = _in_thread(partial(_ensure, job, spec, engine, cache or cache_folder(), checkout))
    try:
        while not (await asyncio.wait({work}, timeout=_HEARTBEAT))[0]:
            job.check_overdue(_STOP_SECONDS)
            if time.monotonic() - job.last_line >= _HEARTBEAT:
                progress(f"  still {job.step} ({time.monotonic() - job.step_started:.0f} s)")
    except asyncio.CancelledError:
        work.add_done_callback(lambda done: done.exception())  # how it ends is of no interest now
        job.stop()
        await asyncio.wait({work}, timeout=_STOP_SECONDS)
        raise
    return work.result()


def _in_thread(work: Callable[[], Image]) -> asyncio.Future[Image]:
    """Like asyncio.to_thread, but a thread that waits for the engine cannot hold up the exit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Image] = loop.create_future()

    def settle(result: Image | None, error: BaseException | None) -> None:
        if error is not None:
            future.set_exception(error)
        elif result is not None:
            future.set_result(result)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # handed to whoever awaits
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="greenroom image", daemon=True).start()
    return future


def _ensure(
    job: Job, spec: ImageSpec, engine: Engine | None, cache: Path, checkout: Base | None
) -> Image:
    job.engine = engine or shared_engine()
    job.api = job.engine.api
    found = _base(job, spec, engine, cache, checkout)
    for layer in layers_of(spec, checkout):
        key = digest(f"{layer.kind} layer 1", found["Id"], json.dumps(layer.content))
        build = partial(build_layer, job, found, layer, key)
        found = _cached(job, layer.kind, key, engine, cache, build)
    if job.built:
        _clear_up(job, engine, cache)
    tags = [t for t in map(short_name, found["RepoTags"] or []) if t.startswith("greenroom/")]
    origin = (found["Config"].get("Labels") or {}).get(ORIGIN_LABEL, "")
    return Image(found["Id"], tags[0] if tags else found["Id"], origin, spec)


def _clear_up(job: Job, engine: Engine | None, cache: Path) -> None:
    """After a build, removes what goes over the budget, and says so in a line."""
    budget = job.settings.image_budget
    if budget is None:
        return
    done = keep_within(budget, engine=engine, cache=cache)
    gone = sum(image.own for image in done.removed)
    if done.removed:
        many = f"{len(done.removed)} image{'s' if len(done.removed) > 1 else ''}"
        job.say(f"image_budget: removed {many} unused for longest, {gone / 2**30:.1f} GiB")
    elif done.left_bytes > budget:
        job.say(
            f"images take {done.left_bytes / 2**30:.1f} GiB, more than image_budget; all in use"
        )


def _base(
    job: Job, spec: ImageSpec, engine: Engine | None, cache: Path, checkout: Base | None
) -> dict[str, Any]:
    if spec.dockerfile is not None:
        name = spec.dockerfile
        given = _from_dockerfile(job, spec, engine, cache, checkout)
        check_platform(job, given, name)
    elif spec.base is not None:
        name = spec.base
        given = given_base(job, spec.base)
    else:
        key = own_base_key(job.settings)
        build = partial(build_own_base, job, key, cache)
        return _cached(job, "sandbox", key, engine, cache, build)
    key = given_key(given, job.settings)
    build = partial(prepare_given, job, given, name, key)
    return _cached(job, "given", key, engine, cache, build)


def _from_dockerfile(
    job: Job, spec: ImageSpec, engine: Engine | None, cache: Path, checkout: Base | None
) -> dict[str, Any]:
    """What the spec's Dockerfile makes. The engine keeps its steps, and gives the same image again
    when a change of the checkout matters to none of them; so that carries no label of one key.
    """
    if checkout is None or spec.dockerfile is None:
        raise UsageError("A Dockerfile can only be built with the checkout that it is in.")
    wanted = CheckoutBuild(checkout, spec.dockerfile, spec.context, spec.target, spec.build_args)
    key = wanted.key()
    found = _cached(job, "dockerfile", key, engine, cache, partial(wanted.build, job), whole=True)
    for name in map(short_name, found["RepoTags"]):
        # Names of earlier states of the checkout, which gave the same.
        if name.startswith("greenroom/dockerfile:") and name != f"greenroom/dockerfile:{key}":
            job.api.remove_image(name)
    return found


def _cached(
    job: Job,
    kind: str,
    key: str,
    engine: Engine | None,
    cache: Path,
    build: Callable[[str], None],
    *,
    whole: bool = False,
) -> dict[str, Any]:
    """The image of this key if it is here, else `build`s it, one process at a time. With `whole`
    its name holds all of the key, and no label does.
    """
    tag = f"greenroom/{kind}:{key if whole else key[:16]}"
    look = partial(inspect, job.api, tag) if whole else partial(_with_key, job, tag, key)
    mark_used(cache, key)
    found = look()
    if found is None:
        with _lock(job, lock_file(cache, key)):
            found = look()
            if found is None:
                started = time.monotonic()
                process_folder()  # its janitor removes the build's container after a kill
                with _patient(job, engine):
                    build(tag)
                found = inspect(job.api, tag)
                job.built = True
                job.say(f"{tag}: ready ({time.monotonic() - started:.0f} s)")
    if found is None:
        raise InfrastructureError(
            f"The image {tag} was built, and is gone.", "Is something removing images here?"
        )
    return found


@contextmanager
def _patient(job: Job, engine: Engine | None) -> Iterator[None]:
    """A connection of the build's own: saving a layer takes longer than other requests may."""
    own = engine or Engine.connect()
    shared, job.api = job.api, own.api
    if engine is None:
        own.api.timeout = _REQUEST_SECONDS
    try:
        yield
    finally:
        job.api = shared
        if engine is None:
            own.close()


def _with_key(job: Job, tag: str, key: str) -> dict[str, Any] | None:
    found = inspect(job.api, tag)
    labels = (found or {}).get("Config", {}).get("Labels") or {}
    return found if labels.get(KEY_LABEL) == key else None


@contextmanager
def _lock(job: Job, path: Path) -> Iterator[None]:
    """Held while one image is built, over threads and processes; ends with the process."""
    with path.open("w") as file:
        said = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    job.begin("waiting for another process that builds the same image")
                    said = True
                job.check()
                time.sleep(0.2)
        yield
