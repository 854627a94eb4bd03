"""Our own base image, from Dockerfile.sandbox; and what every image is looked up and pulled by."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from sandbox.archives import END_OF_ARCHIVE, member
from sandbox.bootstrap import bootstrap
from sandbox.buildjob import DISK_FULL, BuildSettings, Job, failure
from sandbox.dockerbuild import lent, run_build
from sandbox.lending import FOLDER
from sandbox.naming import digest, image_labels

_BASE = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)
_PACKAGES = re.compile(r'^ARG PACKAGES="([^"]+)"$', re.MULTILINE)


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


def build_own_base(job: Job, key: str, scratch: Path, tag: str) -> None:
    """Builds Dockerfile.sandbox on its base, or on a bootstrapped one where no registry answers."""
    text = dockerfile()
    base = _argument(_BASE, text)
    problem = None if inspect(job.api, base) else pull(job, base)
    if problem is None:
        origin = origin_of(base, inspect(job.api, base))
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


def origin_of(name: str, found: dict[str, Any] | None) -> str:
    """Where an image came from: its name, with the registry's digest where it has one."""
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
