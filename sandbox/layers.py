"""Dependency layers: a build container on a parent image, steps run in it, then a commit.

What the steps need of this machine (certificates, proxies, package indexes) goes to the steps
alone, never into the container's configuration, because a commit would copy that into the image.
"""

import io
import json
import re
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox import certificates
from sandbox.buildjob import Job, failure
from sandbox.errors import InfrastructureError, SetupError
from sandbox.install import SCRATCH, with_environment
from sandbox.leftovers import OPENED_LABEL, OWNER_LABEL, owner_labels, remove_leftovers
from sandbox.runtimeguard import ASK, Runtime, changed, runtime

IMAGE_LABEL = "greenroom.image"
KEY_LABEL = "greenroom.key"
CREATED_LABEL = "greenroom.created"
ORIGIN_LABEL = "greenroom.origin"

# Where this machine's certificates lie during the steps; wiped before the commit.
_CERTIFICATES = "/var/tmp/greenroom-ca.pem"  # noqa: S108 - a path in the container
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
    supervisor runs from. `files` and `environment` are as in `Install`.
    """

    kind: str
    content: tuple[str, ...]
    steps: tuple[Step, ...]
    guarded: bool = False
    files: tuple[tuple[str, bytes], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


def image_labels(key: str, origin: str) -> dict[str, str]:
    """The labels by which our images are found again."""
    return {
        IMAGE_LABEL: "1",
        KEY_LABEL: key,
        CREATED_LABEL: datetime.now(UTC).isoformat(timespec="seconds"),
        ORIGIN_LABEL: origin,
    }


def build_layer(job: Job, parent: Mapping[str, Any], layer: Layer, key: str, tag: str) -> None:
    """Runs the layer's steps on the image `parent` (as inspected) and tags the result.

    Raises SetupError naming the step that failed and its last lines.
    """
    with _container(job, parent) as container, job.limited(job.settings.time_limit):
        _send_certificates(job, container)
        guard = _guard(job, container) if layer.guarded else None
        if layer.files:
            _put(job, container, {f"{SCRATCH}/{path}": data for path, data in layer.files})
        for step in layer.steps:
            _run_step(job, container, step)
        _execute(job, container, ("/bin/sh", "-c", _WIPE))
        if guard is not None:
            _check_guard(job, container, guard)
        job.begin(f"saving the {layer.kind} layer")
        origin = (parent["Config"].get("Labels") or {}).get(ORIGIN_LABEL, "")
        variables = with_environment(parent["Config"].get("Env") or [], layer.environment)
        config = {**parent["Config"], "Env": variables}
        _commit(job, container, config, tag, image_labels(key, origin))


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


def _environment(job: Job) -> dict[str, str]:
    found = {
        "DEBIAN_FRONTEND": "noninteractive",
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
        **job.settings.environment,
    }
    if job.settings.ca_bundle is not None:
        found |= certificates.naming(_CERTIFICATES)
    return found


def _send_certificates(job: Job, container: str) -> None:
    if job.settings.ca_bundle is None:
        return
    _put(job, container, {_CERTIFICATES: job.settings.ca_bundle.read_bytes()})


def _put(job: Job, container: str, files: Mapping[str, bytes]) -> None:
    """Lays files into the container, the folders above them made."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    job.api.put_archive(container, "/", archive.getvalue())


def _run_step(job: Job, container: str, step: Step) -> None:
    job.begin(step.what)
    started = time.monotonic()
    code = _execute(job, container, step.command, step.folder)
    if code != 0:
        error = failure(job, _named(step, job.tail))
        error.hint = error.hint or step.advice
        raise error
    job.say(f"{step.what}: done ({time.monotonic() - started:.0f} s)")


def _execute(job: Job, container: str, command: Sequence[str], folder: str = "/") -> int:
    """Runs a command in the container, its output going to the job; returns its exit code."""
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        run = job.api.exec_create(
            container,
            list(command),
            environment=_environment(job),
            workdir=folder,
        )["Id"]
        pending = b""
        for chunk in job.api.exec_start(run, stream=True):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                job.output(line.decode(errors="replace"))
        job.output(pending.decode(errors="replace"))
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


def _commit(
    job: Job, container: str, config: Mapping[str, Any], tag: str, labels: Mapping[str, str]
) -> None:
    from docker.errors import APIError  # noqa: PLC0415

    repository, _, name = tag.rpartition(":")
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
        job.api.commit(container, repository=repository, tag=name, conf=conf)
    except APIError as error:
        job.output(str(error))
        raise failure(job, "Saving the layer failed") from error
    job.check()


def check_stream(job: Job, answers: Sequence[Any], what: str) -> None:
    """Reads an engine's JSON answers (bytes, text or parsed); raises SetupError for an error."""
    for answer in answers:
        message = json.loads(answer) if isinstance(answer, (str, bytes)) else answer
        if "stream" in message:
            job.output(message["stream"])
        elif "error" in message:
            job.output(message["error"])
            raise failure(job, what)


def _guard(job: Job, container: str) -> Runtime:
    job.begin("looking at the image's Python")
    if _execute(job, container, ("python3", "-I", "-S", "-c", ASK)) != 0:
        raise failure(job, "The image's python3 does not run")
    return runtime(job.tail[-1])


def _check_guard(job: Job, container: str, guarded: Runtime) -> None:
    changes = {change["Path"]: change["Kind"] for change in job.api.diff(container) or ()}
    path = changed(changes, guarded)
    if path is not None:
        raise SetupError(
            f"A package that was installed changed {path}, which the sandbox itself runs from; "
            "the image was not kept.",
            "Leave that package out, or put it into an image of your own (--image).",
        )
