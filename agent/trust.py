"""Which checkouts' settings files and devcontainer.json the user has read and trusts, by path and
by content.

A cloned repository is not trusted: until `greenroom trust`, its files may not set what could send
code elsewhere, spend money, loosen the sandbox or run commands while an image is built. Any change
of the settings table or of the Dockerfile that it names ends that trust; so does, for itself, any
of devcontainer.json or its Dockerfile.
"""

import hashlib
import json
import os
import posixpath
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent import paths
from agent.settingsfile import MOST_BYTES, Reader, in_folder
from sandbox.errors import UsageError

_SETTINGS, _DEVCONTAINER = "settings", "devcontainer"


def digest(table: Mapping[str, object], dockerfile: bytes | None = None) -> str:
    """SHA-256 of the settings table, independent of order, comments and layout, and of the content
    of the Dockerfile that it names.
    """
    data = json.dumps(table, sort_keys=True, default=str, ensure_ascii=True).encode()
    return hashlib.sha256(data if dockerfile is None else data + b"\0" + dockerfile).hexdigest()


def is_trusted(checkout: Path, table: Mapping[str, object], read: Reader | None = None) -> bool:
    """Whether the user trusted exactly this table for this checkout. `read` gives the contents of
    its files; those that lie in it now unless given.
    """
    dockerfile = _dockerfile(checkout, table, read)
    if dockerfile is not None and len(dockerfile) > MOST_BYTES:
        return False  # not all of it was read
    wanted = digest(table, dockerfile)
    return _records().get(_name(checkout), {}).get(_SETTINGS) == wanted


def trustable(checkout: Path, table: Mapping[str, object]) -> str:
    """What stands for a table of this checkout, with the Dockerfile that it names. Raises
    UsageError for one that is not there, is empty, or is too large to be known by its content."""
    dockerfile = _dockerfile(checkout, table, None)
    if dockerfile is not None and not dockerfile.strip():
        raise UsageError(
            f"the settings name a Dockerfile that is not in the checkout, or empty: "
            f"{table['dockerfile']}",
            "Write it, or correct its path: it is relative to the top of the checkout.",
        )
    if dockerfile is not None and len(dockerfile) > MOST_BYTES:
        raise UsageError(f"The Dockerfile is larger than any: over {MOST_BYTES:,} bytes.")
    return digest(table, dockerfile)


def trust(checkout: Path, table: Mapping[str, object]) -> None:
    """Records the table of this checkout as trusted, with the Dockerfile that it names. Raises
    UsageError as `trustable` does."""
    _record(checkout, _SETTINGS, trustable(checkout, table))


def trusted_devcontainer(checkout: Path) -> str:
    """The digest of the devcontainer.json that the user trusts in this checkout, "" for none."""
    return _records().get(_name(checkout), {}).get(_DEVCONTAINER, "")


def trust_devcontainer(checkout: Path, digest: str) -> None:
    """Records a devcontainer.json, by its digest, as trusted in this checkout."""
    _record(checkout, _DEVCONTAINER, digest)


def distrust(checkout: Path) -> bool:
    """Forgets the checkout; returns whether it was known."""
    records = _records()
    known = records.pop(_name(checkout), None) is not None
    if known:
        _write(records)
    return known


def _dockerfile(checkout: Path, table: Mapping[str, object], read: Reader | None) -> bytes | None:
    """The content of the Dockerfile that a table names, None where it names none."""
    path = table.get("dockerfile")
    if not isinstance(path, str):
        return None
    inside = posixpath.normpath(path)
    if inside.startswith(("/", "..")):
        return b""  # no file of the checkout: it cannot be built either
    return (read or in_folder(checkout))(inside) or b""


def _name(checkout: Path) -> str:
    return str(checkout.resolve())


def _record(checkout: Path, what: str, digest: str) -> None:
    records = _records()
    records[_name(checkout)] = {**records.get(_name(checkout), {}), what: digest}
    _write(records)


def _records() -> dict[str, dict[str, str]]:
    path = paths.trust_file()
    try:
        records = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise UsageError(
            f"{path} is damaged: it is no JSON", "Remove it; then trust anew."
        ) from None
    if not isinstance(records, dict):
        raise UsageError(f"{path} is damaged: it is no table", "Remove it; then trust anew.")
    return {str(name): _kinds(value) for name, value in records.items()}


def _kinds(value: object) -> dict[str, str]:
    """What is trusted in a checkout; at first that could be a settings file only."""
    if isinstance(value, dict):
        return {str(kind): str(digest) for kind, digest in value.items()}
    return {_SETTINGS: str(value)}


def _write(records: Mapping[str, Mapping[str, str]]) -> None:
    path = paths.trust_file()
    paths.private_folder(path.parent)
    # Written beside and renamed, so that a crash never leaves half a file.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".trusted-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(records, stream, indent=2, sort_keys=True)
    Path(temporary).replace(path)
