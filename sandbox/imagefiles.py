"""The files of a folder of an image, read without starting anything of it."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from sandbox.buildjob import BuildSettings, Job, Progress
from sandbox.engine import Engine, shared_engine
from sandbox.errors import SetupError, UsageError
from sandbox.givenimage import given_base
from sandbox.leftovers import owner_labels
from sandbox.patch import EXECUTABLE, FILE, SYMLINK

#: What one folder may hold.
LIMIT_BYTES = 4 << 30
_CHUNK = 1 << 20

File = tuple[str, int, bytes]


def pull_image(
    name: str,
    *,
    settings: BuildSettings | None = None,
    progress: Progress = lambda _: None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """What the engine knows of an image, pulled where it is not here yet. Blocks. Raises SetupError
    when it cannot be had."""
    job = Job(settings or BuildSettings.from_environment(), progress, None)
    job.engine = engine or shared_engine()
    job.api = job.engine.api
    return given_base(job, name)


@contextmanager
def files_in_image(
    name: str, folder: str, *, exclude: tuple[str, ...] = (), engine: Engine | None = None
) -> Iterator[Iterator[File]]:
    """The files below an absolute `folder` of an image that is here: path in it, mode, content, one
    at a time. `exclude` are names of folders that are left out wherever they stand. Links keep
    their target as content; devices, pipes and hard links to what was left out are skipped.

    The container that it takes is never started. Blocks. Raises UsageError where the image has no
    such folder, SetupError where it holds too much.
    """
    from docker.errors import NotFound  # noqa: PLC0415

    api = (engine or shared_engine()).api
    made = api.create_container(name, command=["true"], entrypoint="", labels=owner_labels())
    try:
        try:
            stream, _ = api.get_archive(made["Id"], folder, chunk_size=_CHUNK)
        except NotFound:
            raise UsageError(
                f"The image {name} has no folder {folder}.", "Is it an image of this suite?"
            ) from None

        def placed(path: str) -> str:
            below = path.partition("/")[2]  # every name begins with that of the folder itself
            return "" if set(below.split("/")) & set(exclude) else below

        yield _files(stream, name, placed)
    finally:
        api.remove_container(made["Id"], force=True)


def files_in_container(container: str, path: str, *, engine: Engine) -> list[File]:
    """The regular files at an absolute `path` of a container that has ended, or below it: path from
    the top without its first slash, mode, content. Links, devices and pipes are left out; so is
    what lies behind a path that is a link itself. Blocks. Raises SetupError for too much.
    """
    from docker.errors import NotFound  # noqa: PLC0415

    above = path.strip("/").rpartition("/")[0]
    try:
        stream, _ = engine.api.get_archive(container, path, chunk_size=_CHUNK)
    except NotFound:
        return []
    found = _files(stream, container, lambda name: f"{above}/{name}".lstrip("/"))
    return [file for file in found if file[1] != SYMLINK]


def _files(stream: Iterator[bytes], name: str, placed: Callable[[str], str]) -> Iterator[File]:
    """The files of an archive that the engine made of `name`; one that `placed` gives no path is
    left out."""
    total = 0
    with tarfile.open(fileobj=cast(IO[bytes], _Stream(stream)), mode="r|") as archive:
        for entry in archive:
            path = placed(entry.name.strip("/"))
            if not path:
                continue
            total += entry.size
            if total > LIMIT_BYTES:
                raise SetupError(f"What is read of {name} has more than {LIMIT_BYTES >> 30} GiB.")
            if entry.issym():
                yield path, SYMLINK, entry.linkname.encode("utf-8", "surrogateescape")
            elif entry.isreg():
                content = archive.extractfile(entry)
                mode = EXECUTABLE if entry.mode & 0o111 else FILE
                yield path, mode, content.read() if content else b""


class _Stream:
    """The chunks of an answer as something to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        parts = [self._rest]
        have = len(self._rest)
        while size < 0 or have < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]
