"""An account entry for the sandbox's uid: one thin layer on its image.

The uid is drawn anew for each sandbox and the root file system is read-only; so /etc/passwd and
/etc/group become links to where the supervisor writes them.
"""

import io
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.leftovers import DISOWNED, owner_labels
from sandbox.naming import CREATED_LABEL, PARENT_LABEL, name_once
from sandbox.profile import PRIVATE

USER = "sandbox"
LINKED: Mapping[str, str] = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
}
LABEL = "greenroom.identity"
VERSION = "1"
LARGEST = 1 << 20


def image_with_identity(api: Any, image: str, labels: Mapping[str, str] | None = None) -> str:
    """The id of `image` (an id or name) with that layer, which is made on first use and kept. The
    layer's image carries the labels of its parent and `labels`. Blocks; raises what docker-py
    raises."""
    import docker  # noqa: PLC0415

    parent = api.inspect_image(image)
    name = f"greenroom/identity:{parent['Id'].removeprefix('sha256:')[:16]}"
    try:
        found = api.inspect_image(name)
        if (found["Config"].get("Labels") or {}).get(LABEL) == _label(parent):
            return str(found["Id"])
    except docker.errors.ImageNotFound:
        pass  # the first use of this image
    return _build(api, parent, name, labels or {})


def _build(api: Any, parent: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> str:
    config = {"Image": parent["Id"], "Entrypoint": ["true"], "Labels": owner_labels()}
    container = api.create_container_from_config(config)["Id"]
    try:
        known = {file: _read(api, container, file, text) for file, text in LINKED.items()}
        api.put_archive(container, "/etc", _archive(known))
        own = {
            **DISOWNED,
            LABEL: _label(parent),
            PARENT_LABEL: parent["Id"],
            CREATED_LABEL: datetime.now(UTC).isoformat(),
        }
        inherited = parent["Config"].get("Labels") or {}
        conf = {**parent["Config"], "Labels": {**inherited, **labels, **own}}
        return name_once(api, api.commit(container, conf=conf)["Id"], name, LABEL)
    finally:
        api.remove_container(container, force=True, v=True)


def _label(parent: Mapping[str, Any]) -> str:
    """What the layer was made from: an image, and a version of the files below."""
    return f"{VERSION} {parent['Id']}"


def _read(api: Any, container: str, file: str, default: str) -> str:
    """A small file of an image's /etc, `default` when it has none."""
    import docker  # noqa: PLC0415

    try:
        stream, found = api.get_archive(container, f"/etc/{file}")
    except docker.errors.NotFound:
        return default
    if found["size"] > LARGEST:
        return default
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        member = archive.next()
        content = archive.extractfile(member) if member is not None and member.isfile() else None
        return content.read(LARGEST).decode("utf-8", "replace") if content else default


def _archive(known: Mapping[str, str]) -> bytes:
    """The files of the layer: links to what the supervisor writes, and what those were in the
    image."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in known.items():
            entry = tarfile.TarInfo(f"{name}.image")
            entry.size = len(text.encode())
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
            link = tarfile.TarInfo(name)
            link.type = tarfile.SYMTYPE
            link.linkname = f"{PRIVATE}/{name}"
            archive.addfile(link)
    return buffer.getvalue()
