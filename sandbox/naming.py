"""What an image of ours is found by: a name made of its content, and labels.

It gets its name once, also when two processes make the same one at the same time.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any

IMAGE_LABEL = "greenroom.image"
KEY_LABEL = "greenroom.key"
CREATED_LABEL = "greenroom.created"
ORIGIN_LABEL = "greenroom.origin"
PARENT_LABEL = "greenroom.parent"
WHAT_LABEL = "greenroom.what"


def digest(*parts: str) -> str:
    """A content key: sha256 over the parts, in hex."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def image_labels(key: str, origin: str, *, what: str, parent: str = "") -> dict[str, str]:
    """The labels by which our images are found again, and told from each other. `parent` is the id
    of the image that this one stands on.
    """
    return {
        IMAGE_LABEL: "1",
        KEY_LABEL: key,
        CREATED_LABEL: datetime.now(UTC).isoformat(timespec="seconds"),
        ORIGIN_LABEL: origin,
        PARENT_LABEL: parent,
        WHAT_LABEL: what,
    }


def name_once(api: Any, made: str, name: str, label: str) -> str:
    """Gives the image `made`, which has no name yet, the name `name`; returns the id of the image
    that has it then. Where another process was first with an image of the same value of `label`,
    that one keeps the name and `made` is removed. Blocks; raises what docker-py raises.
    """
    from docker.errors import ImageNotFound  # noqa: PLC0415

    try:
        first = api.inspect_image(name)
    except ImageNotFound:
        first = None
    if first is not None and _value(first, label) == _value(api.inspect_image(made), label):
        if first["Id"] != made:
            api.remove_image(made)
        return str(first["Id"])
    repository, _, tag = name.rpartition(":")
    api.tag(made, repository, tag, force=True)
    return made


def _value(image: Any, label: str) -> str | None:
    value: str | None = (image["Config"].get("Labels") or {}).get(label)
    return value
