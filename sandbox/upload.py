"""Trees and patches as the records that a supervisor takes."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from sandbox import protocol
from sandbox.patch import EXECUTABLE, SYMLINK, Patch, encode_path
from sandbox.trees import Base

BATCH = 512 * 1024
# A smaller base is kept as it is sent: a task opens many sandboxes on its own.
KEPT_BYTES = 8 << 20
KEPT_BASES = 4


def base_records(base: Base) -> Iterator[bytes]:
    """The records of a base's files, in batches. Blocks on the store."""
    if sum(entry.size for entry in base.entries.values()) <= KEPT_BYTES:
        return iter(_kept_records(base))
    return _records(base)


@lru_cache(KEPT_BASES)
def _kept_records(base: Base) -> tuple[bytes, ...]:
    return tuple(_records(base))


def _records(base: Base) -> Iterator[bytes]:
    listed = base.entries.values()
    contents = base.store.read(entry.blob for entry in listed)
    return _batched(
        protocol.encode_record(
            _kind(entry.mode), encode_path(entry.path), content, bytes.fromhex(entry.blob)
        )
        for entry, content in zip(listed, contents, strict=True)
    )


def patch_records(patch: Patch) -> Iterator[bytes]:
    """The records of a patch, deletions first, in batches."""
    deleted = (
        protocol.encode_record(protocol.DELETED, encode_path(change.path))
        for change in patch.changes
        if change.mode is None
    )
    written = (
        protocol.encode_record(_kind(change.mode), encode_path(change.path), change.content)
        for change in patch.changes
        if change.mode is not None and change.content is not None
    )
    return _batched(record for part in (deleted, written) for record in part)


def file_records(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """The records of plain files, in batches."""
    return _batched(
        protocol.encode_record(protocol.FILE, encode_path(path), content)
        for path, content in sorted(files.items())
    )


def _kind(mode: int) -> int:
    if mode == SYMLINK:
        return protocol.SYMLINK
    return protocol.EXECUTABLE if mode == EXECUTABLE else protocol.FILE


def _batched(records: Iterable[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for record in records:
        if len(record) >= BATCH and not batch:
            yield record
            continue
        batch.append(record)
        size += len(record)
        if size >= BATCH:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)
