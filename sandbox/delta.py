"""What changed in a sandbox, from the supervisor's report to a Patch. The report is not trusted:
paths, kinds, counts and sizes are checked before anything is made of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sandbox import protocol
from sandbox.errors import PatchError
from sandbox.folders import Inherited
from sandbox.patch import (
    DEFAULT_LIMITS,
    EXECUTABLE,
    FILE,
    MAX_PATH_BYTES,
    Change,
    Patch,
    PatchLimits,
    check_path,
    check_size,
    decode_path,
    parents,
    printable,
)
from sandbox.policy import MIB
from sandbox.results import FileProblem
from sandbox.trees import Base, Entry
from sandbox.wire import Wire

# By-products of running and building, left out when the base does not have them.
BY_PRODUCT_FOLDERS = frozenset(
    (
        "__pycache__",
        ".pytest_cache",
        ".hypothesis",
        ".mypy_cache",
        ".ruff_cache",
        ".tox",
        ".nox",
        ".gradle",
        "node_modules",
    )
)
BY_PRODUCT_ENDINGS = (".pyc", ".pyo", ".egg-info")
BY_PRODUCT_NAMES = frozenset((".coverage", ".DS_Store"))
# A `target` folder is a build's only beside one of these.
TARGET_OWNERS = ("Cargo.toml", "pom.xml")


MAX_CHANGED = 100_000
MAX_REPORT = 32 * MIB
MOST_NOTES = 200


@dataclass(frozen=True)
class Wanted:
    """What belongs to the patch: deletions, files to fetch with their sizes, and notes on what was
    left out."""

    deleted: tuple[str, ...]
    fetched: Mapping[str, int]
    notes: tuple[str, ...]


class BaseIndex:
    """A base's files by path, and which added files do not count."""

    def __init__(self, base: Base) -> None:
        self._base = base

    @property
    def entries(self) -> Mapping[str, Entry]:
        return self._base.entries

    @cached_property
    def folders(self) -> frozenset[str]:
        return frozenset(folder for path in self.entries for folder in parents(path))

    def skips(self, path: str) -> bool:
        """Whether an added file at `path` is ignored by the base's rules or is a by-product."""
        if path in self.entries:
            return False
        return self.by_product(path) or self._base.ignores(path)

    def by_product(self, path: str) -> bool:
        """Whether an added file at `path` is one that running or building leaves, by its name."""
        folder, _, name = path.rpartition("/")
        if name in BY_PRODUCT_NAMES or name.endswith(BY_PRODUCT_ENDINGS):
            return True
        return self._by_product_folders(folder)

    @cached_property
    def _by_product_folders(self) -> Inherited[bool]:
        return Inherited(False, lambda path, above: above or self._is_by_product(path))

    def _is_by_product(self, folder: str) -> bool:
        above, slash, name = folder.rpartition("/")
        if name.endswith(BY_PRODUCT_ENDINGS):
            return True
        if folder in self.folders:
            return False
        beside = (f"{above}{slash}{owner}" for owner in TARGET_OWNERS)
        return name in BY_PRODUCT_FOLDERS or (
            name == "target" and any(owner in self.entries for owner in beside)
        )


async def read_delta(
    wire: Wire, index: BaseIndex, limits: PatchLimits = DEFAULT_LIMITS
) -> tuple[Patch, tuple[str, ...]]:
    """A sandbox's changes against its base, and notes on what was left out. Raises PatchError when
    they are too many or too large, InfrastructureError when the report is malformed."""
    request = {"op": "changes", "limit": MAX_CHANGED}
    try:
        wanted = await wire.report(request, lambda found: choose(found, index, limits), MAX_REPORT)
        changes = [Change(path, None, None) for path in wanted.deleted]
        notes = list(wanted.notes)
        if wanted.fetched:
            collector = Collector(wanted, limits)
            names = json.dumps(list(wanted.fetched)).encode("ascii")
            request = {"op": "fetch", "limit": limits.total_bytes}
            await wire.receive(request, collector.feed, names=names)
            changes += wire.understand(lambda: collector.changes(index.entries))
            notes += [f"{printable(path)} cannot be read" for path in collector.missing()]
    except (OSError, FileProblem) as problem:
        raise PatchError(f"The changes of the workspace cannot be taken: {problem}") from problem
    return Patch(tuple(changes)), _bounded(notes)


async def read_files(
    wire: Wire, index: BaseIndex, paths: Iterable[str], limits: PatchLimits
) -> tuple[Patch, tuple[str, ...]]:
    """What is at `paths` of a workspace, where it differs from the base, and the paths where there
    is no regular file that can be read. Raises PatchError when the files are too large together."""
    wanted = Wanted((), dict.fromkeys(paths, 0), ())
    collector = Collector(wanted, limits)
    names = json.dumps(list(wanted.fetched)).encode("ascii")
    try:
        await wire.receive(
            {"op": "fetch", "limit": limits.total_bytes}, collector.feed, names=names
        )
    except (OSError, FileProblem) as problem:
        raise PatchError(f"The files of the workspace cannot be taken: {problem}") from problem
    changes = wire.understand(lambda: collector.changes(index.entries))
    return Patch(tuple(changes)), tuple(collector.missing())


def choose(report: Mapping[str, Any], index: BaseIndex, limits: PatchLimits) -> Wanted:
    """What of a report belongs to the patch. Raises PatchError when it is too many or too large,
    ValueError, KeyError or TypeError when the report is malformed."""
    if "too_many" in report:
        raise PatchError(
            f"More than {int(report['too_many']):,} files of the workspace changed.",
            "Build products may be among them: see that .gitignore names them.",
        )
    notes = [printable(f"{path} {text}") for path, text in report["notes"]]
    roots = _nested(report["notes"], index)
    nested = Inherited(False, lambda folder, above: above or folder in roots)
    gone = {str(path) for path in report["deleted"]} & index.entries.keys()
    # No patch may name these, so they stay, and with them the folders that they are in.
    staying = {path for path in gone if _forbidden(path)}
    notes += [_forbidden(path) for path in sorted(staying)]
    held = {folder for path in staying for folder in parents(path)}
    fetched: dict[str, int] = {}
    for path, kind, size, _ in report["changed"]:
        if not isinstance(path, str) or not isinstance(size, int):
            raise TypeError("a changed path that is no text")
        # The length first: looking at a path's folders takes time that grows with its square.
        size_of_path = len(path.encode("utf-8", "surrogateescape"))
        if size_of_path <= MAX_PATH_BYTES and index.skips(path):
            continue
        # One that is refused in any case may have many more paths, and long ones.
        problem = "" if len(fetched) > limits.changes else _problem(path, kind, nested, held)
        if problem:
            notes.append(problem)
        else:
            fetched[path] = size
    deleted = gone - staying
    check_size(dict.fromkeys(deleted, 0) | fetched, limits)
    return Wanted(tuple(sorted(deleted)), fetched, tuple(dict.fromkeys(notes)))


def _bounded(notes: Sequence[str]) -> tuple[str, ...]:
    more = len(notes) - MOST_NOTES
    return (*notes[:MOST_NOTES], *([f"{more:,} more were left out"] if more > 0 else ()))


def _nested(notes: Iterable[Any], index: BaseIndex) -> frozenset[str]:
    """Folders that are repositories of their own and hold nothing of the base."""
    roots = (str(path).rpartition("/")[0] for path, _ in notes if str(path).endswith("/.git"))
    return frozenset(root for root in roots if root not in index.folders)


def _problem(path: str, kind: str, nested: Inherited[bool], held: Set[str]) -> str:
    forbidden = _forbidden(path)
    if forbidden:
        return forbidden
    if nested(path.rpartition("/")[0]):
        return f"{printable(path)} is in a repository of its own and was left out"
    if kind != "file":
        return f"{printable(path)} is a symbolic link and was left out"
    if path in held:
        return f"{printable(path)} is where a folder stays and was left out"
    return ""


def _forbidden(path: str) -> str:
    try:
        check_path(path)
    except PatchError as error:
        return f"{error.message} It was left out."
    return ""


class Collector:
    """Fetched files as they arrive, bounded by what was asked for."""

    def __init__(self, wanted: Wanted, limits: PatchLimits) -> None:
        self._wanted = wanted.fetched
        self._left = limits.total_bytes
        self._records = protocol.RecordDecoder()
        self._found: dict[str, tuple[int, bytearray]] = {}

    def feed(self, data: bytes) -> None:
        """Raises ProtocolError for what was not asked for or is too large."""
        for kind, raw, _, size, chunk, offset in self._records.feed(data):
            path = decode_path(raw)
            if path not in self._wanted or kind == protocol.SYMLINK or size - offset > self._left:
                raise protocol.ProtocolError("a file that was not asked for")
            if kind == protocol.DELETED:
                continue
            if offset == 0:
                if size > self._left:
                    raise protocol.ProtocolError("more bytes than were asked for")
                mode = EXECUTABLE if kind == protocol.EXECUTABLE else FILE
                self._found[path] = (mode, bytearray())
            self._left -= len(chunk)
            self._found[path][1].extend(chunk)

    def changes(self, entries: Mapping[str, Entry]) -> list[Change]:
        """The changes among what arrived: what equals the base is dropped."""
        if not self._records.idle:
            raise protocol.ProtocolError("the files ended early")
        return [
            Change(path, mode, bytes(content))
            for path, (mode, content) in self._found.items()
            if not _equal(entries.get(path), mode, content)
        ]

    def missing(self) -> list[str]:
        """What was asked for and did not come: it could not be read."""
        return [path for path in self._wanted if path not in self._found]


def _equal(entry: Entry | None, mode: int, content: bytes | bytearray) -> bool:
    if entry is None or entry.mode != mode or entry.size != len(content):
        return False
    digest = hashlib.sha1 if len(entry.blob) == 40 else hashlib.sha256
    return digest(b"blob %d\0" % len(content) + content).hexdigest() == entry.blob
