"""A container as anybody would start one, without our controls: what is tried there has to work."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.engine import Engine
from sandbox.image import Image


def run_plainly(
    engine: Engine,
    image: Image,
    command: Sequence[str],
    folder: Path | None = None,
    **options: Any,
) -> tuple[str, int]:
    """What a command prints as root in a container with the engine's own defaults, but without its
    system call profile and with a `folder` of the host in /mnt; and the exit code. `options` go
    into the engine's HostConfig."""
    api = engine.api
    host = {
        "SecurityOpt": ["seccomp=unconfined"],
        "NetworkMode": "none",
        "Binds": [f"{folder}:/mnt:ro"] if folder else [],
        **options,
    }
    made = api.create_container(
        image.reference,
        list(command),
        user="0:0",
        working_dir="/workspace",
        host_config=host,
    )
    try:
        api.start(made)
        ended = api.wait(made, timeout=60)["StatusCode"]
        said = api.logs(made, stdout=True, stderr=False).decode()
    finally:
        api.remove_container(made, force=True)
    return said, ended
