"""Trees of files on the host, kept in a bare git repository that only Greenroom writes.

A base is a tree here. Applying a patch gives another tree; the diff that people see is rendered
here; a diff from outside becomes a patch here. No file of a tree is ever written to a folder.
"""

import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, cast

from sandbox.errors import PatchError, SetupError
from sandbox.git import Git, GitError
from sandbox.ignore import IgnoreRules, Rules
from sandbox.outside import patched_index
from sandbox.patch import (
    DEFAULT_LIMITS,
    EXECUTABLE,
    FILE,
    SYMLINK,
    Change,
    Patch,
    PatchLimits,
    check_mode,
    check_patch,
    check_path,
    check_place,
    check_size,
    decode_path,
    encode_path,
    parents,
    printable,
)
from sandbox.scratch import scratch_folder

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
ZERO = "0" * 40
PAGE_BYTES = 4096  # a file system in memory holds a file in whole pages
WRITTEN_MODES = (FILE, EXECUTABLE, SYMLINK)
IDENTITY = {
    "GIT_AUTHOR_NAME": "Greenroom",
    "GIT_AUTHOR_EMAIL": "greenroom@localhost",
    "GIT_COMMITTER_NAME": "Greenroom",
    "GIT_COMMITTER_EMAIL": "greenroom@localhost",
}
# Blobs are written once and read often: compression would cost more than it saves.
STORE_SETTINGS = ("core.compression=0", "core.looseCompression=0", "pack.compression=0")


@dataclass(frozen=True)
class Entry:
    """One file of a tree. `path` carries bytes that are not UTF-8 as surrogate escapes; `mode` is
    0o100644, 0o100755 or 0o120000 (a symbolic link, whose blob is its target); `size` in bytes."""

    path: str
    mode: int
    blob: str
    size: int


class TreeStore:
    """A bare repository of trees. Several processes and threads may use one at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git = Git(folder, settings=STORE_SETTINGS)
        self._modes: tuple[str, Mapping[str, int]] = (EMPTY_TREE, {})

    @classmethod
    def create(cls, folder: Path) -> "TreeStore":
        """Make an empty store at `folder`, readable by its owner only; a store that is already
        there is opened. Raises SetupError when it cannot be written."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            environment = {"GIT_DEFAULT_HASH": "sha1", "GIT_DEFAULT_REF_FORMAT": "files"}
            Git(folder.absolute(), environment=environment).run(
                "init", "--bare", "--quiet", "--template="
            )
        except (OSError, GitError) as error:
            raise SetupError(
                f"The tree store at {folder} cannot be made: {error}",
                "See that the folder is writable and the disk is not full.",
            ) from error
        return cls(folder.absolute())

    @classmethod
    def open(cls, folder: Path) -> "TreeStore":
        """Open the store at `folder`. Raises SetupError when there is none."""
        if not (folder / "objects").is_dir() or not (folder / "HEAD").is_file():
            raise SetupError(f"There is no tree store at {folder}.", "Was the run pruned?")
        return cls(folder.absolute())

    def add_tree(self, files: Iterable[tuple[str, int, bytes]]) -> str:
        """Store files, given as path, mode and content, and give the oid of their tree.

        Takes them one at a time, so memory stays at one file. Raises PatchError for a path or a
        mode that no tree may have.
        """

        def commands() -> Iterator[bytes]:
            seen: set[str] = set()
            folders: set[str] = set()
            for path, mode, content in files:
                check_place(path)
                if mode not in WRITTEN_MODES:
                    check_mode(path, mode)
                folders.update(parents(path))
                if path in seen or path in folders or not seen.isdisjoint(parents(path)):
                    raise PatchError(f"Two files cannot both be at {printable(path)}.")
                seen.add(path)
                yield _write_command(path, mode, content)

        return self._import(EMPTY_TREE, commands())

    def apply(self, tree: str, patch: Patch, limits: PatchLimits = DEFAULT_LIMITS) -> str:
        """The tree that a patch makes of `tree`. Deleting what is not there changes nothing.
        Raises PatchError for a patch that must not be applied."""
        check_patch(patch, limits, self.modes(tree))
        removed = [_delete_command(change.path) for change in patch if change.deleted]
        written = [
            _write_command(change.path, change.mode, change.content)
            for change in patch
            if change.mode is not None and change.content is not None
        ]
        return self._import(tree, [*removed, *written]) if patch else tree

    def entries(self, tree: str) -> list[Entry]:
        """All files of a tree, sorted by path."""
        listing = self._git.run("ls-tree", "-r", "-z", "--long", _name(tree)).stdout
        found = []
        for line in listing.split(b"\0")[:-1]:
            fields, _, raw = line.partition(b"\t")
            mode, _, blob, size = fields.split()
            found.append(Entry(decode_path(raw), int(mode, 8), blob.decode(), int(size)))
        return found

    def modes(self, tree: str) -> Mapping[str, int]:
        """The paths of a tree with their modes; those of the tree asked for last are kept."""
        known, modes = self._modes
        if known != tree:
            listing = self._git.run("ls-tree", "-r", "-z", _name(tree)).stdout
            lines = (line.partition(b"\t") for line in listing.split(b"\0")[:-1])
            modes = {decode_path(raw): int(fields.split()[0], 8) for fields, _, raw in lines}
            self._modes = (tree, modes)
        return modes

    def read(self, blob_oids: Iterable[str]) -> Iterator[bytes]:
        """The contents of blobs, in the order asked for, by one git process. Raises KeyError for an
        oid that the store does not have."""
        with tempfile.TemporaryFile() as names:
            names.write("".join(f"{oid}\n" for oid in blob_oids).encode("ascii"))
            names.seek(0)
            with self._git.process("cat-file", "--batch", "--buffer", stdin=names) as process:
                stdout = cast(IO[bytes], process.stdout)
                for oid in _lines_of(names):
                    yield _read_object(stdout, oid)

    def blob(self, tree: str, path: str) -> bytes | None:
        """The content at `path` in a tree (a link's target), or None when no file is there."""
        listing = self._git.run("ls-tree", "-z", _name(tree), "--", path).stdout
        for line in listing.split(b"\0")[:-1]:
            fields, _, raw = line.partition(b"\t")
            _, kind, oid = fields.split()
            if kind == b"blob" and decode_path(raw) == path:
                return next(self.read([oid.decode()]))
        return None

    def diff(self, old: str, new: str, paths: Sequence[str] | None = None) -> bytes:
        """The change from one tree to another as git diff text, binary contents included, of all
        paths or those given. `git apply` takes it; so does `from_diff`."""
        options = ("-p", "-r", "--binary", "--full-index", "--no-renames", "--no-ext-diff")
        chosen = ("--", *paths) if paths is not None else ()
        if paths is not None and not paths:
            return b""
        trees = (_name(old), _name(new))
        return self._git.run("diff-tree", *options, "--no-textconv", *trees, *chosen).stdout

    def between(self, old: str, new: str, limits: PatchLimits = DEFAULT_LIMITS) -> Patch:
        """The patch that makes `new` of `old`. Raises PatchError when it would be one that must not
        be applied; sizes are checked before a content is read."""
        options = ("-r", "-z", "--raw", "--no-renames")
        listing = self._git.run("diff-tree", *options, _name(old), _name(new)).stdout
        fields = listing.split(b"\0")[:-1]
        changed: dict[str, tuple[int | None, str]] = {}
        for summary, raw in zip(fields[::2], fields[1::2], strict=True):
            _, mode, _, oid, status = summary.split()
            path = decode_path(raw)
            check_path(path)
            check_mode(path, None if status == b"D" else int(mode, 8))
            changed[path] = (None if status == b"D" else int(mode, 8), oid.decode())
        kept = {path: oid for path, (mode, oid) in changed.items() if mode is not None}
        sizes = dict.fromkeys(changed, 0) | dict(zip(kept, self._sizes(kept.values()), strict=True))
        check_size(sizes, limits)
        contents = dict(zip(kept, self.read(kept.values()), strict=True))
        patch = Patch(tuple(Change(p, mode, contents.get(p)) for p, (mode, _) in changed.items()))
        check_patch(patch, limits, self.modes(old))
        return patch

    def from_diff(self, tree: str, text: bytes, limits: PatchLimits = DEFAULT_LIMITS) -> Patch:
        """The patch that a diff from outside means on `tree`.

        Takes what `git apply` takes: git's format, plain unified diffs with or without the leading
        folder, binary patches, several diffs with text around them. Raises PatchError, saying which
        file and hunk, when it does not apply, is no diff, or makes a patch that is not allowed.
        """
        with self._index(tree) as index:
            patched_index(self._git, index, text, self.modes(tree).keys(), limits)
            new = self._git.run("write-tree", environment={"GIT_INDEX_FILE": str(index)}).stdout
        return self.between(tree, new.decode().strip(), limits)

    def commit(self, tree: str, message: str) -> str:
        """A commit of `tree` without parents, and its oid. No branch names it."""
        made = self._git.run("commit-tree", tree, stdin=message.encode(), environment=IDENTITY)
        return made.stdout.decode().strip()

    def _sizes(self, oids: Iterable[str]) -> list[int]:
        names = "".join(f"{oid}\n" for oid in oids).encode("ascii")
        listing = self._git.run("cat-file", "--batch-check=%(objectsize)", stdin=names).stdout
        return [int(line) for line in listing.split()]

    @contextmanager
    def _index(self, tree: str) -> Iterator[Path]:
        """An index of its own that holds `tree`, gone at the end."""
        with scratch_folder("index-") as folder:
            index = folder / "index"
            self._git.run("read-tree", tree, environment={"GIT_INDEX_FILE": str(index)})
            yield index

    def _import(self, tree: str, commands: Iterable[bytes]) -> str:
        """Run fast-import commands on top of `tree` in one process and give the new tree's oid.

        The commit that fast-import needs goes to a branch that is dropped again: trees are named by
        oid, and the store is never pruned while it is in use.
        """
        branch = f"refs/greenroom/{secrets.token_hex(16)}"
        options = ("--quiet", "--force", "--done", "--cat-blob-fd=1", "--depth=0")
        with self._git.process("fast-import", *options) as process:
            stdin, stdout, stderr = (
                cast(IO[bytes], pipe) for pipe in (process.stdin, process.stdout, process.stderr)
            )
            # A pipe that breaks means that it died; what it wrote says why.
            with suppress(BrokenPipeError):
                stdin.write(_commit_command(branch, tree))
                for command in commands:
                    stdin.write(command)
                stdin.write(f'ls ""\nreset {branch}\nfrom {ZERO}\n\ndone\n'.encode())
                stdin.close()
            said = stdout.read()
            problem = stderr.read().decode("utf-8", "replace")
            if process.wait() or not said:
                raise GitError("fast-import", process.returncode, problem)
        return EMPTY_TREE if said.startswith(b"missing") else said.split()[2].decode()


@dataclass(frozen=True)
class Base:
    """What a sandbox starts from: a tree in a store, and the ignore rules that held for it.

    `ignore` gives, by folder ("" is the root), the gitignore lines in rising priority; those of the
    user's global excludes and of `info/exclude` come first under "".
    """

    store: TreeStore
    tree: str
    ignore: Rules = ()

    def ignores(self, path: str) -> bool:
        """Whether an added file at `path` is ignored. Files of the base itself never are."""
        return self._rules.ignores(path)

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """All files of the base by path, sorted. Blocks when asked for first."""
        return {entry.path: entry for entry in self.store.entries(self.tree)}

    @property
    def memory_bytes(self) -> int:
        """What the files take in a file system in memory, in bytes. Blocks as `entries` does."""
        return sum(in_pages(entry.size) for entry in self.entries.values())

    @cached_property
    def _rules(self) -> IgnoreRules:
        return IgnoreRules(self.ignore)


def in_pages(size: int) -> int:
    """What a file of `size` bytes takes in a file system in memory, in bytes."""
    return -(-size // PAGE_BYTES) * PAGE_BYTES


def _name(oid: str) -> str:
    """An object's name as git takes it, and nothing else: it may come from a log."""
    if not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", oid):
        raise SetupError(f"{oid[:60]!r} is not the name of a tree.", "The run's log is damaged.")
    return oid


def _commit_command(branch: str, tree: str) -> bytes:
    """The start of a commit on a new branch whose content is `tree`."""
    start = f"commit {branch}\ncommitter Greenroom <greenroom@localhost> 0 +0000\ndata 0\n"
    return (start if tree == EMPTY_TREE else f'{start}M 040000 {tree} ""\n').encode()


def _write_command(path: str, mode: int, content: bytes) -> bytes:
    return b"M %o inline %s\ndata %d\n%s\n" % (mode, _quoted(path), len(content), content)


def _delete_command(path: str) -> bytes:
    return b"D %s\n" % _quoted(path)


def _quoted(path: str) -> bytes:
    """A path as fast-import reads it, whatever bytes it has."""
    return b'"%s"' % b"".join(
        b"\\%03o" % byte if byte in b'"\\' or not 32 <= byte < 127 else bytes([byte])
        for byte in encode_path(path)
    )


def _lines_of(names: IO[bytes]) -> list[str]:
    # A second descriptor of the file would share its offset with the process that reads it.
    size = os.fstat(names.fileno()).st_size
    return os.pread(names.fileno(), size, 0).decode("ascii").split()


def _read_object(stream: IO[bytes], oid: str) -> bytes:
    header = stream.readline().split()
    if len(header) != 3 or not header[2].isdigit():
        raise KeyError(oid)
    content = stream.read(int(header[2]) + 1)
    if len(content) != int(header[2]) + 1:
        raise GitError("cat-file", -1, f"the object {oid} could not be read to its end")
    return content[:-1]
