"""An account entry for the sandbox's uid, although that is drawn anew for each sandbox and the root
file system is read-only: one thin layer makes /etc/passwd and /etc/group links to where the
supervisor writes them."""

import io
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.leftovers import owner_labels
from sandbox.profile import PRIVATE

USER = "sandbox"
FILES: Mapping[str, str] = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
}
PARENT_LABEL = "greenroom.accounts.parent"
LARGEST = 1 << 20


def image_with_accounts(api: Any, image: str, labels: Mapping[str, str] | None = None) -> str:
    """The id of `image` (an id or name) with that layer, which is made on first use and kept. The
    layer's image carries the labels of its parent and `labels`. Blocks; raises what docker-py
    raises."""
    import docker  # noqa: PLC0415

    parent = api.inspect_image(image)
    name = f"greenroom/accounts:{parent['Id'].removeprefix('sha256:')[:16]}"
    try:
        found = api.inspect_image(name)
        if (found["Config"].get("Labels") or {}).get(PARENT_LABEL) == parent["Id"]:
            return str(found["Id"])
    except docker.errors.ImageNotFound:
        pass  # the first use of this image
    return _build(api, parent, name, labels or {})


def _build(api: Any, parent: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> str:
    config = {"Image": parent["Id"], "Entrypoint": ["true"], "Labels": owner_labels()}
    container = api.create_container_from_config(config)["Id"]
    try:
        for file, default in FILES.items():
            text = _read(api, container, f"/etc/{file}", default)
            api.put_archive(container, "/etc", _archive(file, text))
        own = {PARENT_LABEL: parent["Id"], "greenroom.created": datetime.now(UTC).isoformat()}
        known = parent["Config"].get("Labels") or {}
        conf = {**parent["Config"], "Labels": {**known, **labels, **own}}
        repository, _, tag = name.partition(":")
        return str(api.commit(container, repository=repository, tag=tag, conf=conf)["Id"])
    finally:
        api.remove_container(container, force=True, v=True)


def _read(api: Any, container: str, path: str, default: str) -> str:
    """A small file of an image, `default` when it has none."""
    import docker  # noqa: PLC0415

    try:
        stream, found = api.get_archive(container, path)
    except docker.errors.NotFound:
        return default
    if found["size"] > LARGEST:
        return default
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        member = archive.next()
        content = archive.extractfile(member) if member is not None and member.isfile() else None
        return content.read(LARGEST).decode("utf-8", "replace") if content else default


def _archive(file: str, text: str) -> bytes:
    """What replaces /etc/FILE: a link to where the supervisor writes it, and the text it had."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        known = tarfile.TarInfo(f"{file}.image")
        known.size = len(text.encode())
        known.mode = 0o644
        archive.addfile(known, io.BytesIO(text.encode()))
        link = tarfile.TarInfo(file)
        link.type = tarfile.SYMTYPE
        link.linkname = f"{PRIVATE}/{file}"
        archive.addfile(link)
    return buffer.getvalue()
