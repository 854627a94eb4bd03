"""The image that layers stand on: our own (Dockerfile.sandbox), or one that the user named."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from sandbox.archives import END_OF_ARCHIVE, member
from sandbox.bootstrap import OTHER_WAYS, bootstrap
from sandbox.buildjob import DISK_FULL, BuildSettings, Job, failure
from sandbox.dockerbuild import lent, run_build
from sandbox.errors import SetupError, UsageError
from sandbox.layers import Layer, Step, build_layer, check_stream
from sandbox.leftovers import owner_labels
from sandbox.lending import FOLDER, mirror_command
from sandbox.naming import IMAGE_LABEL, ORIGIN_LABEL, digest, image_labels

_BASE = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)
_PACKAGES = re.compile(r'^ARG PACKAGES="([^"]+)"$', re.MULTILINE)

# Exit 0: everything is there; 3: something is missing and there is no way to add it.
_PREPARE = r"""
add() {
    if command -v apt-get >/dev/null 2>&1; then
        apt-get update && apt-get install -y --no-install-recommends "$@"
    elif command -v apk >/dev/null 2>&1; then
        apk add --no-cache "$@"
    elif command -v dnf >/dev/null 2>&1; then
        dnf install -y "$@"
    else
        return 3
    fi
}
missing=""
command -v bash >/dev/null 2>&1 || missing="$missing bash"
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
if [ -n "$missing" ]; then
    echo "the image lacks:$missing"
    add $missing || exit
fi
# For use inside only: a sandbox works without it.
command -v git >/dev/null 2>&1 || add git || echo "git could not be added; there will be none"
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
"""


def dockerfile() -> str:
    """The text of Dockerfile.sandbox, from the checkout or the installed package."""
    return (files("sandbox") / "Dockerfile.sandbox").read_text(encoding="utf-8")


def _argument(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    if match is None:
        raise ValueError(f"Dockerfile.sandbox has no line like {pattern.pattern}")
    return match[1]


def inspect(api: Any, name: str) -> dict[str, Any] | None:
    """What the engine knows of an image here, or None."""
    from docker.errors import ImageNotFound  # noqa: PLC0415

    try:
        found: dict[str, Any] = api.inspect_image(name)
    except ImageNotFound:
        return None
    return found


def own_base_key(settings: BuildSettings) -> str:
    """The key of our own base, which names the mirror that its packages come from."""
    mirror = [settings.apt_mirror] if settings.apt_mirror else []
    return digest("own base 1", dockerfile(), *mirror)


def given_key(found: Mapping[str, Any], settings: BuildSettings) -> str:
    """The key of what is prepared from an image that was named or built."""
    return digest("given base 2", found["Id"], settings.apt_mirror or "")


def build_own_base(job: Job, key: str, scratch: Path, tag: str) -> None:
    """Builds Dockerfile.sandbox on its base, or on a bootstrapped one where no registry answers."""
    text = dockerfile()
    base = _argument(_BASE, text)
    problem = None if inspect(job.api, base) else pull(job, base)
    if problem is None:
        origin = _origin(base, inspect(job.api, base))
    else:
        job.say(f"{base} could not be pulled: {problem}")
        base = f"greenroom/bootstrap:{digest(text)[:16]}"
        origin = bootstrap(job, _argument(_PACKAGES, text).split(), base, scratch)
    _build(job, text, base, tag, image_labels(key, origin, what="Greenroom's own base"))


def _build(job: Job, text: str, base: str, tag: str, labels: dict[str, str]) -> None:
    with lent(job, text) as (lending, variables):
        wipe = f"\nRUN rm -rf {FOLDER}\n" if FOLDER in lending else ""
        run_build(
            job,
            (member("Dockerfile", 0o644, (lending + wipe).encode()), END_OF_ARCHIVE),
            what=f"Building the sandbox image on {base}",
            tag=tag,
            labels=labels,
            buildargs={"BASE": base, **variables},
        )


def _origin(name: str, found: dict[str, Any] | None) -> str:
    digests = (found or {}).get("RepoDigests") or []
    return str(digests[0]) if digests else f"{name} {(found or {}).get('Id', '')}"


def pull(job: Job, name: str) -> str | None:
    """Pulls an image with its progress; returns None, or in a few words why it could not. Raises
    SetupError when the disk is full.
    """
    from docker.errors import DockerException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    job.begin(f"pulling {name}")
    repository, tag = _split(name)
    shown: dict[str, str] = {}
    try:
        for answer in job.api.pull(repository, tag=tag, stream=True, decode=True):
            job.check()
            if "error" in answer:
                return _refused(job, name, str(answer["error"]))
            layer, status = answer.get("id", ""), answer.get("status", "")
            if shown.get(layer) != status:
                shown[layer] = status
                job.output(f"{layer} {status}".strip())
    except (DockerException, RequestException) as error:
        return _refused(job, name, str(getattr(error, "explanation", None) or error))
    return None


def _refused(job: Job, name: str, problem: str) -> str:
    """A full disk here is no reason to look for another way to fill it."""
    if DISK_FULL.search(problem):
        job.output(problem)
        raise failure(job, f"Pulling {name} failed")
    return problem


def _split(name: str) -> tuple[str, str | None]:
    if "@" in name:
        return name, None
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")


def given_base(job: Job, name: str) -> dict[str, Any]:
    """The image that the user named, pulled when it is not here. Raises SetupError if it cannot."""
    found = inspect(job.api, name)
    if found is None:
        if re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", name):
            raise UsageError(f"There is no image {name} here.", "`docker images` lists them.")
        problem = pull(job, name)
        found = inspect(job.api, name)
        if problem is not None or found is None:
            raise SetupError(
                f"The image {name} is not here and could not be pulled: {problem}",
                f"Load it (`docker load -i FILE`), give that name to one that is here (`docker tag "
                f"IMAGE {name}`), or name another.",
            )
    return found


def prepare_given(job: Job, found: dict[str, Any], name: str, key: str, tag: str) -> None:
    """Adds what the sandbox needs (python3 from 3.7 on, bash; git for use inside) to an image that
    was named or built, where it lacks.
    """
    mirror = job.settings.apt_mirror
    script = f"{mirror_command(mirror)}\n{_PREPARE}" if mirror else _PREPARE
    step = Step(f"preparing {name}", ("/bin/sh", "-c", script))
    config = found["Config"]
    labels = {**(config.get("Labels") or {}), ORIGIN_LABEL: _origin(name, found)}
    copied = _copy_without_volumes(job, found, key) if config.get("Volumes") else None
    parent = {"Id": copied or found["Id"], "Config": {**config, "Labels": labels}}
    try:
        build_layer(job, parent, Layer("base", (), (step,), what=f"prepared {name}"), key, tag)
    except SetupError as error:
        raise SetupError(
            f"The image {name} cannot be used: it needs python3 (3.7 or later) and bash, and "
            f"they could not be added.\n{error.message}",
            error.hint or f"Name an image that has them, as python:3-slim. {OTHER_WAYS}",
        ) from error
    finally:
        if copied:
            job.api.remove_image(copied)  # the name only, while the layer stands on it


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
