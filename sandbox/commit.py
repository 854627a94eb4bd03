"""Saving a container as an image that keeps the configuration of the one it was made from."""

from collections.abc import Mapping
from typing import Any

from sandbox.buildjob import Job, failure
from sandbox.errors import SetupError
from sandbox.leftovers import DISOWNED


def commit(job: Job, container: str, config: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Saves the container as an image without a name; its id. `config` is that of the image that
    the container was made from. Raises SetupError when it cannot be saved.
    """
    from docker.errors import APIError  # noqa: PLC0415

    kept = {k: config.get(k) for k in ("Env", "Cmd", "Entrypoint", "User", "WorkingDir", "Shell")}
    # The engine fills an empty field from the container's, whose entrypoint and user are ours.
    kept["Entrypoint"] = kept["Entrypoint"] or []
    kept["Cmd"] = kept["Cmd"] or ["/bin/sh"]
    variables = kept["Env"] = list(kept["Env"] or ["LANG=C.UTF-8"])
    kept["User"] = kept["User"] or "0:0"
    kept["WorkingDir"] = kept["WorkingDir"] or "/"
    conf = {**kept, "Labels": {**(config.get("Labels") or {}), **labels, **DISOWNED}}
    try:
        made = str(job.api.commit(container, conf=conf)["Id"])
    except APIError as error:
        job.output(str(error))
        raise failure(job, "Saving the layer failed") from error
    lost = set(variables) - set(job.api.inspect_image(made)["Config"].get("Env") or [])
    if lost:  # Podman cannot be told of some
        job.api.remove_image(made)
        name = min(lost).partition("=")[0]
        raise SetupError(
            f"The engine cannot give an image the variable {name} with its value.",
            "Leave out quotes, dollar signs and backslashes, or build the image with Docker.",
        )
    job.check()
    return made
