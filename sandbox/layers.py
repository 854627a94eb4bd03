"""Dependency layers: a build container on a parent image, steps run in it, then a commit.

What the steps need of this machine (certificates, proxies, package indexes) goes to the steps
alone, never into the container's configuration, because a commit would copy that into the image.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from sandbox.archives import END_OF_ARCHIVE, member, members
from sandbox.buildjob import Job, failure
from sandbox.errors import InfrastructureError
from sandbox.imageenv import with_environment
from sandbox.install import SCRATCH
from sandbox.layerchecks import (
    check_changes,
    check_loader,
    check_secrets,
    note_runtime,
    note_time,
)
from sandbox.leftovers import OPENED_LABEL, OWNER_LABEL, owner_labels, remove_leftovers
from sandbox.lending import FOLDER, lent_archive, lent_variables
from sandbox.naming import KEY_LABEL, ORIGIN_LABEL, image_labels, name_once
from sandbox.patch import FILE
from sandbox.profile import WORKSPACE
from sandbox.runtimeguard import asks_loader
from sandbox.trees import Base

_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"]
_WIPE = (
    "rm -rf /tmp/* /tmp/.[!.]* /var/tmp/* /root/.cache /var/lib/apt/lists/* /var/cache/apt/* "
    "/var/log/apt /var/log/dpkg.log"
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
    with _container(job, parent) as container, job.limited(job.settings.time_limit):
        _send_lent(job, container)
        execute = partial(_execute, job, container)
        guard = note_runtime(job, execute) if layer.guarded else None
        begun = note_time(job, execute) if job.settings.secrets else None
        if layer.files:
            _send_files(job, container, layer.files)
        if layer.workspace is not None:
            _send_workspace(job, container, layer.workspace)
        for step in layer.steps:
            _run_step(job, container, step)
        wipe = f"{_WIPE} {WORKSPACE}" if layer.workspace is not None else _WIPE
        _execute(job, container, ("/bin/sh", "-c", wipe))
        if begun is not None:
            check_secrets(job, execute, begun)
        # What a step left running must not change anything behind the checks.
        job.api.kill(container)
        job.api.wait(container)
        changes = check_changes(job, container, guard) if guard is not None else {}
        job.begin(f"saving the {layer.kind} layer")
        origin = (parent["Config"].get("Labels") or {}).get(ORIGIN_LABEL, "")
        what = layer.what or layer.kind
        labels = image_labels(key, origin, what=what, parent=parent["Id"])
        variables = with_environment(parent["Config"].get("Env") or [], layer.environment)
        made = _commit(job, container, {**parent["Config"], "Env": variables}, labels)
    if guard is not None and asks_loader(changes, guard):
        check_loader(job, made, guard)
    name_once(job.api, made, tag, KEY_LABEL)


@contextmanager
def _container(job: Job, parent: Mapping[str, Any]) -> Iterator[str]:
    """A running container that does nothing but wait, and ends itself soon after the time limit."""
    from docker.errors import APIError  # noqa: PLC0415

    api = job.api
    remove_leftovers(api)
    memory = int(api.info()["MemTotal"] * 0.75)
    created = api.create_container(
        parent["Id"],
        environment=parent["Config"].get("Env") or [],
        entrypoint=["/bin/sleep"],
        command=[str(int(job.settings.time_limit) + 60)],
        labels=owner_labels(),
        healthcheck={"test": ["NONE"]},
        user="0:0",
        working_dir="/",
        host_config=api.create_host_config(
            network_mode=job.settings.network,
            cap_drop=["ALL"],
            cap_add=_CAPABILITIES,
            security_opt=["no-new-privileges:true"],
            mem_limit=memory,
            memswap_limit=memory,
            pids_limit=4096,
            init=True,
            log_config={"Type": "none"},
        ),
    )
    container: str = created["Id"]

    def remove() -> None:
        try:
            api.remove_container(container, force=True, v=True)
        except APIError as error:
            if error.status_code not in (404, 409):  # gone, or just being removed
                raise

    try:
        with job.stoppable(remove):
            api.start(container)
            yield container
    finally:
        remove()


def _send_lent(job: Job, container: str) -> None:
    """Lays what this machine lends into the container."""
    archive = lent_archive(job.settings, f"{FOLDER}/".lstrip("/"))
    if archive is not None:
        job.api.put_archive(container, "/", archive)


def _send_files(job: Job, container: str, files: Sequence[tuple[str, bytes]]) -> None:
    archive = [member(f"{SCRATCH[1:]}/{path}", FILE, content) for path, content in files]
    job.api.put_archive(container, "/", b"".join([*archive, END_OF_ARCHIVE]))


def _send_workspace(job: Job, container: str, base: Base) -> None:
    entries = {f"{WORKSPACE[1:]}/{path}": entry for path, entry in base.entries.items()}
    job.api.put_archive(container, "/", chain(members(base, entries), [END_OF_ARCHIVE]))


def _run_step(job: Job, container: str, step: Step) -> None:
    job.begin(step.what)
    started = time.monotonic()
    code = _execute(job, container, step.command, folder=step.folder)
    if code != 0:
        error = failure(job, _named(step, job.tail))
        error.hint = error.hint or step.advice
        raise error
    job.say(f"{step.what}: done ({time.monotonic() - started:.0f} s)")


def _execute(
    job: Job,
    container: str,
    command: Sequence[str],
    environment: Mapping[str, str] = {},
    take: Callable[[str], None] | None = None,
    *,
    folder: str = "/",
) -> int:
    """Runs a command in the container, its output going to the job, or to `take` a line at a time;
    returns its exit code.
    """
    from docker.errors import DockerException  # noqa: PLC0415

    take = take or job.output
    try:
        run = job.api.exec_create(
            container,
            list(command),
            environment={**lent_variables(job.settings), **environment},
            workdir=folder,
        )["Id"]
        pending = b""
        for chunk in job.api.exec_start(run, stream=True):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                take(line.decode(errors="replace"))
        take(pending.decode(errors="replace"))
        code = job.api.exec_inspect(run)["ExitCode"]
    except DockerException as error:
        job.check()  # a stop removes the container, which is what failed then
        raise InfrastructureError(
            f"The build container died during: {job.step} ({error})."
        ) from error
    job.check()
    return -1 if code is None else int(code)


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


def _commit(job: Job, container: str, config: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Saves the container as an image without a name; its id."""
    from docker.errors import APIError  # noqa: PLC0415

    kept = {k: config.get(k) for k in ("Env", "Cmd", "Entrypoint", "User", "WorkingDir", "Shell")}
    # The engine fills an empty field from the container's, whose entrypoint and user are ours.
    kept["Entrypoint"] = kept["Entrypoint"] or []
    kept["Cmd"] = kept["Cmd"] or ["/bin/sh"]
    kept["Env"] = kept["Env"] or ["LANG=C.UTF-8"]
    kept["User"] = kept["User"] or "0:0"
    kept["WorkingDir"] = kept["WorkingDir"] or "/"
    # The labels of the build container must not make a sandbox of this image look like it.
    disowned = {OWNER_LABEL: "", OPENED_LABEL: ""}
    conf = {**kept, "Labels": {**(config.get("Labels") or {}), **labels, **disowned}}
    try:
        made = str(job.api.commit(container, conf=conf)["Id"])
    except APIError as error:
        job.output(str(error))
        raise failure(job, "Saving the layer failed") from error
    job.check()
    return made


def check_stream(job: Job, answers: Sequence[Any], what: str) -> None:
    """Reads an engine's JSON answers (bytes, text or parsed); raises SetupError for an error."""
    for answer in answers:
        message = json.loads(answer) if isinstance(answer, (str, bytes)) else answer
        if "stream" in message:
            job.output(message["stream"])
        elif "error" in message:
            job.output(message["error"])
            raise failure(job, what)
