"""Files as tar archives for the engine, made piece by piece."""

import tarfile
from collections.abc import Iterator, Mapping

from sandbox.patch import EXECUTABLE, SYMLINK, encode_path
from sandbox.trees import Base, Entry

END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)


def member(path: str, mode: int, content: bytes) -> bytes:
    """A file, or a link to `content`, as a member of an archive."""
    entry = tarfile.TarInfo(encode_path(path).decode("utf-8", "surrogateescape"))
    if mode == SYMLINK:
        entry.type = tarfile.SYMTYPE
        entry.linkname, content = content.decode("utf-8", "surrogateescape"), b""
    entry.mode = 0o755 if mode == EXECUTABLE else 0o644
    entry.size = len(content)
    padding = bytes(-len(content) % tarfile.BLOCKSIZE)
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + content + padding


def members(base: Base, entries: Mapping[str, Entry]) -> Iterator[bytes]:
    """Files of a base as members, each under its path in the archive."""
    contents = base.store.read(entry.blob for entry in entries.values())
    for (path, entry), content in zip(entries.items(), contents, strict=True):
        yield member(path, entry.mode, content)
