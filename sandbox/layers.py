"""Dependency layers: a build sandbox on a parent image, steps run in it, then a commit.

What the steps need of this machine (certificates, package indexes) goes to the steps alone, never
into the container's configuration, because a commit would copy that into the image.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.buildjob import Job, failure
from sandbox.buildroom import BuildRoom, build_room
from sandbox.commit import commit
from sandbox.errors import SetupError
from sandbox.imageenv import with_environment
from sandbox.install import SCRATCH
from sandbox.layerchecks import (
    check_changes,
    check_loader,
    check_secrets,
    note_runtime,
    note_time,
)
from sandbox.naming import KEY_LABEL, ORIGIN_LABEL, image_labels, name_once
from sandbox.runtimeguard import asks_loader
from sandbox.trees import Base

_WIPE = (
    "rm -rf /tmp/* /tmp/.[!.]* /var/tmp/* /root/.cache /var/lib/apt/lists/* /var/cache/apt/* "
    "/var/log/apt /var/log/dpkg.log"
)

_NO_NETWORK = (
    "it found no network",
    "A layer is built without a network device: what it needs has to be asked for over http or "
    "https, by a program that heeds the variable https_proxy.",
)


@dataclass(frozen=True)
class Step:
    """One command of a layer, run in `folder`. `what` names it in progress and errors; `advice`
    says what to do where it fails for no known cause.
    """

    what: str
    command: tuple[str, ...]
    folder: str = "/"
    advice: str = ""


@dataclass(frozen=True)
class Layer:
    """Steps that make one image out of another. `guarded`: they may not change what the sandbox's
    supervisor runs from. `files` and `environment` are as in `Install`. `what` tells in a few words
    what it adds, for lists of images: it becomes a label, so no address and no command may stand in
    it. The steps find the files of `workspace` where a sandbox has them; they do not stay.
    """

    kind: str
    content: tuple[str, ...]
    steps: tuple[Step, ...]
    guarded: bool = False
    what: str = ""
    files: tuple[tuple[str, bytes], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    workspace: Base | None = None


def build_layer(job: Job, parent: Mapping[str, Any], layer: Layer, key: str, tag: str) -> None:
    """Runs the layer's steps on the image `parent` (as inspected) and tags the result.

    Raises SetupError naming the step that failed and its last lines.
    """
    with (
        job.limited(job.settings.time_limit),
        build_room(job, parent, layer.workspace) as room,
    ):
        guard = note_runtime(job, room.run) if layer.guarded else None
        begun = note_time(job, room.run) if job.settings.secrets else None
        if layer.files:
            room.put(SCRATCH, dict(layer.files))
        for step in layer.steps:
            _run_step(job, room, step)
        room.run(("/bin/sh", "-c", _WIPE))
        if begun is not None:
            check_secrets(job, room.run, begun)
        # Nothing must change behind the checks, and nothing of a daemon's last words be kept.
        room.kill()
        changes = check_changes(job, room.ident, guard) if guard is not None else {}
        job.begin(f"saving the {layer.kind} layer")
        origin = (parent["Config"].get("Labels") or {}).get(ORIGIN_LABEL, "")
        what = layer.what or layer.kind
        labels = image_labels(key, origin, what=what, parent=parent["Id"])
        variables = with_environment(parent["Config"].get("Env") or [], layer.environment)
        made = commit(job, room.ident, {**parent["Config"], "Env": variables}, labels)
    if guard is not None and asks_loader(changes, guard):
        check_loader(job, made, guard)
    name_once(job.api, made, tag, KEY_LABEL)


def _run_step(job: Job, room: BuildRoom, step: Step) -> None:
    job.begin(step.what)
    started = time.monotonic()
    if room.run(step.command, folder=step.folder) != 0:
        raise _failed(job, room, step)
    job.say(f"{step.what}: done ({time.monotonic() - started:.0f} s)")


def _failed(job: Job, room: BuildRoom, step: Step) -> SetupError:
    trouble = room.requests.trouble()
    error = failure(job, _named(step, job.tail), trouble=trouble, unreachable=_NO_NETWORK)
    error.hint = error.hint or step.advice
    return error


_PIP_CULPRITS = (
    re.compile(r"No matching distribution found for (.+)"),
    re.compile(r"Could not find a version that satisfies the requirement (\S+)"),
    re.compile(r"Failed (?:to build|building wheel for) '?([^\s']+)"),
    re.compile(r"Could not build wheels for (.+?), which"),
    re.compile(r"Invalid requirement: '?([^'\n]+)"),
    re.compile(r"\u2570\u2500> ([A-Za-z0-9][\w.-]*)$"),
    re.compile(r"^Collecting (\S+)"),
)


def _named(step: Step, tail: Sequence[str]) -> str:
    """What failed, with the requirement that pip stumbled over where its output tells it."""
    if "pip install" in step.what:
        for pattern in _PIP_CULPRITS:
            found = [m[1] for line in tail if (m := pattern.search(line.strip()))]
            if found:
                return f"{step.what} failed at {found[-1].strip()}"
    return f"{step.what} failed"
