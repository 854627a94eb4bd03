"""An image that the user named, or that a trusted Dockerfile made, prepared for sandboxes.

It may have no Python, so no sandbox of ours can start on it yet: what it lacks is added in a plain
container, which gets the engine's network, and only where something is missing. What runs there are
the distribution's own package manager and programs of the image, and nothing of a repository. (The
engine's builder is not used: it would run the image's ONBUILD steps, and leave what is lent to the
container in a layer.)
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sandbox.abilities import MACHINES
from sandbox.archives import END_OF_ARCHIVE, member
from sandbox.baseimage import inspect, origin_of, pull
from sandbox.bootstrap import OTHER_WAYS
from sandbox.buildjob import BuildSettings, Job, check_stream, failure
from sandbox.commit import commit
from sandbox.errors import InfrastructureError, SetupError, UsageError
from sandbox.leftovers import owner_labels
from sandbox.lending import FOLDER, lent_files, mirror_command, network_variables, proxies_of
from sandbox.naming import IMAGE_LABEL, KEY_LABEL, digest, image_labels, name_once
from sandbox.patch import FILE

_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"]
_OFFLINE = "none"
_LACKING = 9
_VARIABLES = f"{FOLDER}/variables"
# The first argument is the network. Exit 0: everything is there; 3: something is missing and there
# is no way to add it; 4: the Python is too old; 9: what is missing takes a network.
_PREPARE = rf"""
add() {{
    if command -v apt-get >/dev/null 2>&1; then
        apt-get update && apt-get install -y --no-install-recommends "$@"
    elif command -v apk >/dev/null 2>&1; then
        apk add --no-cache "$@"
    elif command -v dnf >/dev/null 2>&1; then
        dnf install -y "$@"
    else
        return 3
    fi
}}
missing=""
for name in bash python3 git; do
    command -v $name >/dev/null 2>&1 || missing="$missing $name"
done
if [ -n "$missing" ]; then
    echo "the image lacks:$missing"
    [ "$1" != {_OFFLINE} ] || exit {_LACKING}
    needed=""
    for name in $missing; do [ $name = git ] || needed="$needed $name"; done
    [ -z "$needed" ] || add $needed || exit
    # For use inside only: a sandbox works without it.
    command -v git >/dev/null 2>&1 || add git || echo "git could not be added; there will be none"
fi
python3 -I -S -c 'import sys; sys.exit(0 if sys.version_info >= (3, 7) else 4)' || exit 4
# Some images carry no bytecode of the standard library; on a read-only root Python could never
# keep it, and would compile at every start.
python3 -I -S - <<'PYTHON'
import glob, os, sys
library = os.path.dirname(os.__file__)
if not glob.glob(library + "/__pycache__/os.*.pyc"):
    import compileall, re
    compileall.compile_dir(library, quiet=2, rx=re.compile("/(site|dist)-packages/"))
PYTHON
code=$?
# What was there before stays: it may be what a task is about.
[ -z "$missing" ] || rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
rm -rf {FOLDER}
[ ! -e {FOLDER} ] || exit
exit $code
"""


def given_key(found: Mapping[str, Any], settings: BuildSettings) -> str:
    """The key of what is prepared from an image that was named or built."""
    return digest("given base 3", found["Id"], settings.apt_mirror or "")


class NotPulled(SetupError):
    """An image is not here, and could not be had from its registry just now."""


def given_base(job: Job, name: str) -> dict[str, Any]:
    """The image that the user named, pulled when it is not here. Raises NotPulled if it cannot,
    UsageError for one of another kind of machine."""
    found = inspect(job.api, name)
    if found is None:
        if re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", name):
            raise UsageError(f"There is no image {name} here.", "`docker images` lists them.")
        problem = pull(job, name)
        found = inspect(job.api, name)
        if problem is not None or found is None:
            raise NotPulled(
                f"The image {name} is not here and could not be pulled: {problem}",
                f"Load it (`docker load -i FILE`), give that name to one that is here (`docker tag "
                f"IMAGE {name}`), or name another.",
            )
    check_platform(job, found, name)
    return found


def check_platform(job: Job, found: Mapping[str, Any], name: str) -> None:
    """Raises UsageError for an image whose programs the engine's machine does not run, or would run
    under an emulator, which the sandbox's system call profile is not made for."""
    system, architecture = str(found.get("Os") or "linux"), str(found.get("Architecture") or "")
    machine = job.engine.abilities.machine
    if system != "linux" or (architecture and MACHINES.get(architecture) != machine):
        raise UsageError(
            f"The image {name} is made for {system}/{architecture}, and this engine runs linux on "
            f"{machine}.",
            f"Name one for {machine}, or use an engine on such a machine.",
        )


def prepare_given(job: Job, found: dict[str, Any], name: str, key: str, tag: str) -> None:
    """Adds what the sandbox needs (python3 from 3.7 on, bash; git for use inside) to an image that
    was named or built, where it lacks.
    """
    config = found["Config"]
    origin = origin_of(name, found)
    copied = _copy_without_volumes(job, found, key) if config.get("Volumes") else None
    parent = found["Id"] if copied is None else job.api.inspect_image(copied)["Id"]
    labels = image_labels(key, origin, what=f"prepared {name}", parent=parent)
    try:
        with job.limited(job.settings.time_limit):
            made = _prepared(job, parent, config, labels, name, _OFFLINE)
            made = made or _prepared(job, parent, config, labels, name, job.settings.network)
    except SetupError as error:
        raise SetupError(
            f"The image {name} cannot be used: it needs python3 (3.7 or later) and bash, and "
            f"they could not be added.\n{error.message}",
            error.hint or f"Name an image that has them, as python:3-slim. {OTHER_WAYS}",
        ) from error
    finally:
        if copied:
            job.api.remove_image(copied)  # the name only, while the layer stands on it
    name_once(job.api, made, tag, KEY_LABEL)


def _prepared(
    job: Job,
    parent: str,
    config: Mapping[str, Any],
    labels: Mapping[str, str],
    name: str,
    network: str,
) -> str:
    """The id of the image that is prepared, "" where that takes another network."""
    job.begin(f"preparing {name}")
    with _container(job, parent, network) as container:
        code = _run(job, container)
        if code == _LACKING and network == _OFFLINE:
            return ""
        if code != 0:
            raise failure(job, f"preparing {name} failed")
        return commit(job, container, config, labels)


@contextmanager
def _container(job: Job, image: str, network: str) -> Iterator[str]:
    """A container that will run the script, with what this machine lends in a folder."""
    from docker.errors import APIError  # noqa: PLC0415

    api = job.api
    memory = int(job.engine.abilities.memory_bytes * 0.75) or None
    created = api.create_container(
        image,
        entrypoint=["/bin/sh", "-c", _script(job.settings)],
        command=["prepare", network],
        labels=owner_labels(),
        healthcheck={"test": ["NONE"]},
        user="0:0",
        working_dir="/",
        host_config=api.create_host_config(
            network_mode=network,
            cap_drop=["ALL"],
            cap_add=_CAPABILITIES,
            security_opt=["no-new-privileges:true"],
            mem_limit=memory,
            memswap_limit=memory,
            pids_limit=4096,
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
            if network != _OFFLINE:
                api.put_archive(container, "/", _lent(job.settings))
            yield container
    finally:
        remove()


def _run(job: Job, container: str) -> int:
    """Starts it, and gives its exit code when it has ended; its output goes to the job."""
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        output = job.api.attach(container, stdout=True, stderr=True, stream=True, logs=False)
        job.api.start(container)
        pending = b""
        for chunk in output:
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                job.output(line.decode(errors="replace"))
        job.output(pending.decode(errors="replace"))
        code = int(job.api.wait(container)["StatusCode"])
    except DockerException as error:
        job.check()  # a stop removes the container, which is what failed then
        raise InfrastructureError(f"The container died during: {job.step} ({error}).") from error
    job.check()
    return code


def _script(settings: BuildSettings) -> str:
    mirror = mirror_command(settings.apt_mirror) if settings.apt_mirror else ""
    return f"[ ! -e {_VARIABLES} ] || . {_VARIABLES}\n{mirror}\n{_PREPARE}"


def _lent(settings: BuildSettings) -> bytes:
    """What the package manager gets of this machine. The variables are in a file, for those of the
    container's own configuration would go into the image.
    """
    wanted = network_variables(replace(settings, environment=proxies_of(settings)))
    lines = [f"export {n}={shlex.quote(v)}\n" for n, v in wanted.items()]
    lines.append("export DEBIAN_FRONTEND=noninteractive\n")
    files = {**lent_files(settings), _VARIABLES.rpartition("/")[2]: "".join(lines).encode()}
    parts = [member(f"{FOLDER[1:]}/{name}", FILE, data) for name, data in files.items()]
    return b"".join([*parts, END_OF_ARCHIVE])


def _copy_without_volumes(job: Job, found: dict[str, Any], key: str) -> str:
    """The same file system as an image that declares no volumes; its name.

    A declared volume would be a writable place without any bound in every sandbox, and no later
    layer can take the declaration back.
    """
    job.begin("the image declares volumes: copying it without them")
    container = job.api.create_container(found["Id"], command=["true"], labels=owner_labels())["Id"]
    try:
        answer = job.api.import_image_from_data(
            job.api.export(container),
            repository="greenroom/plain",
            tag=key[:16],
            changes=[f"LABEL {IMAGE_LABEL}=1"],
        )
    finally:
        job.api.remove_container(container, v=True)
    check_stream(job, answer.splitlines(), "Copying the image failed")
    return f"greenroom/plain:{key[:16]}"
