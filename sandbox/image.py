"""An ImageSpec to an image: base, then dependency layers, each cached by its content.

Every image of ours is tagged `greenroom/KIND:KEY` and labelled, so that it is found again by one
inspection, and by `greenroom prune --images`.
"""

import asyncio
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sandbox.baseimage import (
    build_own_base,
    digest,
    given_base,
    inspect,
    own_base_key,
    prepare_given,
)
from sandbox.buildjob import BuildSettings, Job, Progress
from sandbox.errors import UsageError
from sandbox.imagestore import lock_file, mark_used
from sandbox.layers import KEY_LABEL, ORIGIN_LABEL, Layer, Step, build_layer

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
_HEARTBEAT = 10.0  # seconds of silence after which a long step says that it still runs
_FIND_PIP = (
    "python3 -m pip --version || { command -v apt-get >/dev/null && apt-get update && "
    "apt-get install -y --no-install-recommends python3-pip; } || python3 -m ensurepip"
)


@dataclass(frozen=True)
class ImageSpec:
    """What an image must hold, as plain data.

    `base` is an image's name or id, None for Greenroom's own (Dockerfile.sandbox). `apt` are
    Debian packages, `pip` requirement strings for the system's Python, `setup` shell commands,
    which run as root while the image is built and may only come from trusted settings.
    """

    base: str | None = None
    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises UsageError for a name that apt or pip would read as something else."""
        for name in self.apt:
            if not _PACKAGE.fullmatch(name):
                raise UsageError(f"{name!r} is not the name of a Debian package.")
        for requirement in self.pip:
            text = requirement.strip()
            if not text or text.startswith("-") or not text.isprintable():
                raise UsageError(
                    f"{requirement!r} is not a Python requirement.",
                    "Write a name with an optional version, as `requests>=2.31`.",
                )
        if self.base is not None and (not self.base.strip() or self.base.startswith("-")):
            raise UsageError(f"{self.base!r} is not the name of an image.")


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
            "base": self.spec.base,
            "apt": list(self.spec.apt),
            "pip": list(self.spec.pip),
            "setup": list(self.spec.setup),
        }


async def ensure_image(
    spec: ImageSpec,
    *,
    engine: Any = None,
    progress: Progress = lambda _line: None,
    settings: BuildSettings | None = None,
    cache: Path | None = None,
) -> Image:
    """The image of `spec`, built where it is not here yet; a few milliseconds when it is.

    `progress` is called in the event loop with a line at a time, output of programs indented.
    `cache` is the folder for locks and scratch. Raises UsageError for a bad spec and SetupError,
    with the failing step and its last lines, when it cannot be built; a cancelled build leaves
    no container.
    """
    spec.check()
    loop = asyncio.get_running_loop()
    api = _api(engine)

    def say(line: str) -> None:
        loop.call_soon_threadsafe(progress, line)

    job = Job(
        api,
        settings or BuildSettings.from_environment(),
        say,
    )
    work = loop.run_in_executor(None, _ensure, job, spec, cache or _cache_folder())
    try:
        while not (await asyncio.wait({work}, timeout=_HEARTBEAT))[0]:
            if time.monotonic() - job.last_line >= _HEARTBEAT:
                progress(f"  still {job.step} ({time.monotonic() - job.step_started:.0f} s)")
    except asyncio.CancelledError:
        job.stop()
        await asyncio.wait({work}, timeout=30)
        raise
    return await work


def _api(engine: Any) -> Any:
    import docker  # noqa: PLC0415

    return docker.APIClient(version="auto", timeout=600)


def _ensure(job: Job, spec: ImageSpec, cache: Path) -> Image:
    found = _base(job, spec, cache)
    for layer in _layers(spec):
        key = digest(f"{layer.kind} layer 1", found["Id"], json.dumps(layer.content))
        found = _cached(
            job,
            f"greenroom/{layer.kind}:{key[:16]}",
            key,
            cache,
            partial(build_layer, job, found, layer, key),
        )
    tags = [t for t in found["RepoTags"] or [] if t.startswith("greenroom/")]
    origin = (found["Config"].get("Labels") or {}).get(ORIGIN_LABEL, "")
    return Image(found["Id"], tags[0] if tags else found["Id"], origin, spec)


def _base(job: Job, spec: ImageSpec, cache: Path) -> dict[str, Any]:
    if spec.base is None:
        key = own_base_key()
        return _cached(
            job,
            f"greenroom/sandbox:{key[:16]}",
            key,
            cache,
            partial(build_own_base, job, key, cache),
        )
    given = given_base(job, spec.base)
    key = digest("given base 1", given["Id"])
    return _cached(
        job,
        f"greenroom/given:{key[:16]}",
        key,
        cache,
        partial(prepare_given, job, given, spec.base, key),
    )


def _cached(
    job: Job, tag: str, key: str, cache: Path, build: Callable[[str], None]
) -> dict[str, Any]:
    """The image `tag` if it is here with this key, else `build`s it, one process at a time."""
    mark_used(cache, key)
    found = _with_key(job, tag, key)
    if found is None:
        with _lock(job, lock_file(cache, key)):
            found = _with_key(job, tag, key)
            if found is None:
                started = time.monotonic()
                build(tag)
                found = inspect(job.api, tag)
                job.say(f"{tag}: ready ({time.monotonic() - started:.0f} s)")
    if found is None:
        raise RuntimeError(f"{tag} was built and is not there")
    return found


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


def _cache_folder() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given.startswith("/") else Path.home() / ".cache") / "greenroom"


def _layers(spec: ImageSpec) -> list[Layer]:
    found = []
    if spec.apt:
        steps = (
            Step("apt-get update", ("apt-get", "update")),
            Step(
                "apt-get install " + " ".join(spec.apt),
                ("apt-get", "install", "-y", "--no-install-recommends", *spec.apt),
            ),
        )
        found.append(Layer("apt", spec.apt, steps))
    if spec.pip:
        steps = (
            Step("looking for pip", ("/bin/sh", "-c", _FIND_PIP)),
            Step(
                "pip install " + " ".join(spec.pip),
                ("python3", "-m", "pip", "install", *spec.pip),
            ),
        )
        found.append(Layer("pip", spec.pip, steps, guarded=True))
    if spec.setup:
        commands = tuple(
            Step(f"setup command {command!r}", ("bash", "-eo", "pipefail", "-c", command))
            for command in spec.setup
        )
        found.append(Layer("setup", spec.setup, commands))
    return found
