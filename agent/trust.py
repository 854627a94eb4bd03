"""Which checkouts' settings files the user has read and trusts, by path and by content.

A cloned repository is not trusted: until `greenroom trust`, its file may not set what could send
code elsewhere, spend money, loosen the sandbox or run commands while an image is built. Any change
of the settings table makes it untrusted again.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent import paths
from sandbox.errors import UsageError


def digest(table: Mapping[str, object]) -> str:
    """SHA-256 of the settings table, independent of order, comments and layout."""
    text = json.dumps(table, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_trusted(checkout: Path, table: Mapping[str, object]) -> bool:
    """Whether the user trusted exactly this table for this checkout."""
    return _records().get(str(checkout.resolve())) == digest(table)


def trust(checkout: Path, table: Mapping[str, object]) -> None:
    """Records the table of this checkout as trusted."""
    _write({**_records(), str(checkout.resolve()): digest(table)})


def distrust(checkout: Path) -> bool:
    """Forgets the checkout; returns whether it was known."""
    records = _records()
    known = records.pop(str(checkout.resolve()), None) is not None
    if known:
        _write(records)
    return known


def _records() -> dict[str, str]:
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
    return {str(name): str(value) for name, value in records.items()}


def _write(records: Mapping[str, str]) -> None:
    path = paths.trust_file()
    paths.private_folder(path.parent)
    # Written beside and renamed, so that a crash never leaves half a file.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".trusted-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(records, stream, indent=2, sort_keys=True)
    Path(temporary).replace(path)
