"""A patch: what changed in a tree of files, path by path, and the checks that bind one.

A patch is no diff text. It is, for each changed path, the new mode and the new content, or the
deletion. Every patch passes `check_patch` before anything is made of it, whoever produced it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from sandbox.errors import PatchError

FILE = 0o100644
EXECUTABLE = 0o100755
SYMLINK = 0o120000
GITLINK = 0o160000

MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
# Code points that HFS+ ignores when it compares names, as git's own protection lists them.
HFS_IGNORED = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Change:
    """One path's new state. `mode` and `content` are both None for a deletion."""

    path: str
    mode: int | None
    content: bytes | None

    @property
    def deleted(self) -> bool:
        return self.mode is None


@dataclass(frozen=True)
class PatchLimits:
    """How many paths a patch may change, and how many bytes one file and all may have."""

    changes: int = 5000
    file_bytes: int = 32 << 20
    total_bytes: int = 64 << 20


DEFAULT_LIMITS = PatchLimits()


@dataclass(frozen=True)
class Patch:
    """Changes sorted by path, each path once. Raises PatchError for a path that comes twice."""

    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.changes, key=lambda change: encode_path(change.path)))
        for before, after in pairwise(ordered):
            if before.path == after.path:
                raise PatchError(f"The patch names {printable(after.path)} twice.")
        object.__setattr__(self, "changes", ordered)

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(change.path for change in self.changes)

    @property
    def size(self) -> int:
        """Bytes of all new contents together."""
        return sum(len(change.content or b"") for change in self.changes)

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of paths, modes and contents: equal patches, equal digests."""
        digest = hashlib.sha256()
        for change in self.changes:
            content = change.content or b""
            for part in (encode_path(change.path), f"{change.mode or 0:o}".encode(), content):
                digest.update(b"%d:" % len(part))
                digest.update(part)
        return digest.hexdigest()

    def merge(self, other: "Patch") -> "Patch":
        """This patch followed by `other`: where both change a path, `other` decides."""
        changes = {change.path: change for change in self.changes}
        changes |= {change.path: change for change in other.changes}
        return Patch(tuple(changes.values()))

    def only(self, paths: Iterable[str]) -> "Patch":
        """The part of this patch that changes `paths`."""
        kept = set(paths)
        return Patch(tuple(change for change in self.changes if change.path in kept))


def encode_path(path: str) -> bytes:
    """A path's bytes. Raises PatchError for text that stands for no file name."""
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise PatchError(f"The path {printable(path)} is no file name.") from None


def decode_path(raw: bytes) -> str:
    """A path from its bytes; bytes that are not UTF-8 become surrogate escapes."""
    return raw.decode("utf-8", "surrogateescape")


def printable(path: str) -> str:
    """A path for a message: characters that would act on a terminal are shown escaped, bytes that
    are no UTF-8 as `\\xff`."""
    return "".join(char if char.isprintable() else _escaped(char) for char in path)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def check_path(path: str) -> None:
    """Raise PatchError unless a patch may change `path`: a place in the tree (see `check_place`)
    whose name has no control characters."""
    check_place(path)
    if CONTROL.search(path):
        raise PatchError(f"The path {printable(path)} has control characters.")


def check_place(path: str) -> None:
    """Raise PatchError unless `path` is a relative path in its shortest form that no git or file
    system, also a case-insensitive one, could take for one outside the tree or in a `.git`."""
    raw = encode_path(path)
    shown = printable(path)
    if not path or "\0" in path:
        raise PatchError(f"The path '{shown}' is no file name.")
    if path.startswith("/") or re.match(r"[A-Za-z]:[\\/]", path):
        raise PatchError(f"The path {shown} is absolute.", "Paths are relative to the repository.")
    if len(raw) > MAX_PATH_BYTES:
        raise PatchError(f"The path {shown[:80]}... is longer than {MAX_PATH_BYTES} bytes.")
    for name in path.split("/"):
        if not name or name == ".":
            raise PatchError(f"The path {shown} is not in its shortest form.")
        if 4 * len(name) > MAX_NAME_BYTES and len(encode_path(name)) > MAX_NAME_BYTES:
            raise PatchError(f"A name in the path {shown[:80]}... is over {MAX_NAME_BYTES} bytes.")
    # A backslash separates names where a checkout may be unpacked on Windows.
    for name in re.split(r"[/\\]", path):
        if name == "..":
            raise PatchError(f"The path {shown} leads out of the tree.")
        if _means_git_folder(name):
            raise PatchError(f"The path {shown} is inside a .git folder.")


def folded(name: str) -> str:
    """What some file system would open under this name: in any case, without ignorable code points
    (HFS+), without a stream or trailing dots and blanks (NTFS)."""
    return name.translate(HFS_IGNORED).lower().split(":", 1)[0].rstrip(". ")


@lru_cache(maxsize=4096)
def _means_git_folder(name: str) -> bool:
    """Whether some file system would open `.git` under this name, NTFS also by its short form."""
    plain = folded(name)
    return plain == ".git" or re.fullmatch(r"git~\d+", plain) is not None


def check_patch(
    patch: Patch, limits: PatchLimits = DEFAULT_LIMITS, base: Mapping[str, int] | None = None
) -> None:
    """Raise PatchError for a patch that must not be applied.

    `base` maps the paths of the tree it applies to to their modes; with it, changes under a symlink
    or in conflict with an entry of the other kind (file or folder) are found too.
    """
    check_size({change.path: len(change.content or b"") for change in patch}, limits)
    for change in patch:
        check_path(change.path)
        check_mode(change.path, change.mode)
        if (change.mode is None) != (change.content is None):
            raise PatchError(f"The change of {printable(change.path)} lacks a mode or a content.")
    _check_places(patch, base or {})


def check_mode(path: str, mode: int | None) -> None:
    """Raise PatchError unless a path changes to a regular file or is deleted (None)."""
    if mode in (None, FILE, EXECUTABLE):
        return
    kinds = {SYMLINK: "a symbolic link", GITLINK: "a submodule"}
    kind = kinds.get(mode, f"of mode {mode:o}")
    raise PatchError(
        f"The patch makes {printable(path)} {kind}.",
        "Only regular files can be added or changed; links and submodules have to be made by hand.",
    )


def check_size(sizes: Mapping[str, int], limits: PatchLimits = DEFAULT_LIMITS) -> None:
    """Raise PatchError when there are too many paths, or too many bytes in one file or in all."""
    if len(sizes) > limits.changes:
        raise PatchError(
            f"The patch changes {len(sizes)} files; at most {limits.changes} are allowed.",
            "Build products may be in it: see that the repository's .gitignore names them.",
        )
    for path, size in sizes.items():
        if size > limits.file_bytes:
            raise PatchError(
                f"The patch makes {printable(path)} {size:,} bytes large; "
                f"at most {limits.file_bytes:,} are allowed."
            )
    total = sum(sizes.values())
    if total > limits.total_bytes:
        raise PatchError(
            f"The patch's files have {total:,} bytes together; "
            f"at most {limits.total_bytes:,} are allowed."
        )


def _check_places(patch: Patch, base: Mapping[str, int]) -> None:
    """Every written path needs folders above it, and no folder in its own place, afterwards."""
    gone = {change.path for change in patch if change.deleted}
    after = {path: mode for path, mode in base.items() if path not in gone}
    after |= {change.path: change.mode for change in patch if change.mode is not None}
    written = {change.path for change in patch if not change.deleted}
    folders = {folder for path in after for folder in parents(path)} if written else set()
    for path in written:
        if path in folders:
            raise PatchError(f"The patch writes a file over the folder {printable(path)}.")
        for folder in parents(path):
            if folder in after:
                kind = "symbolic link" if after[folder] == SYMLINK else "file"
                raise PatchError(
                    f"The patch writes {printable(path)} through the {kind} {printable(folder)}."
                )
    for path in gone - base.keys():
        for folder in parents(path):
            if base.get(folder) == SYMLINK:
                raise PatchError(
                    f"The patch deletes {printable(path)} through "
                    f"the symbolic link {printable(folder)}."
                )


def parents(path: str) -> Iterator[str]:
    """The folders above a path, innermost first, without the root."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
