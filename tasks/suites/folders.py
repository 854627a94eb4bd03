"""A suite's folder on disk: its files read without following a link, its version, and diffs."""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.git import GitError
from sandbox.ignore import IgnoreRules
from sandbox.patch import FILE, SYMLINK, Change, Patch, decode_path, encode_path, printable
from sandbox.scratch import scratch_folder
from sandbox.trees import TreeStore
from tasks.discovery import Checkout, find_checkout
from tasks.nofollow import CheckoutFiles
from tasks.workspace import BYPRODUCTS

MOST_BYTES = 64 << 20
#: What runs of tests and a downloaded exercise leave in a workspace: never part of a patch.
IGNORED = ("__pycache__/", "*.pyc", ".pytest_cache/")


@dataclass(frozen=True)
class Found:
    """A file of a suite, its mode as git counts it; for a link, the content is its target."""

    content: bytes
    mode: int = FILE

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


Files = Mapping[str, Found]


def open_folder(kind: str, place: str) -> Path:
    """The folder of the suite `kind:place`. Raises UsageError when there is none."""
    if not place:
        raise UsageError(f"The suite {kind} is a folder on disk.", f"Write: {kind}:PATH")
    top = Path(place).expanduser().absolute()
    if not top.is_dir():
        raise UsageError(f"The suite {kind}:{place} is not there: {top} is no folder.")
    return top.resolve()


def read_folder(
    top: Path, below: str = "", *, links: bool = False, exclude: Sequence[str] = ()
) -> dict[str, Found]:
    """All files in the folder `below` of `top`, by their path there, without what tools leave
    behind and what `exclude` names by gitignore patterns; with `links` also the links. Raises
    UsageError for what cannot be read."""
    unwanted = IgnoreRules((("", tuple(exclude)),))
    try:
        with CheckoutFiles(top) as files:
            paths = [path for path in _walk(files, below) if not unwanted.ignores(path)]
            found = {path: _read(files, path) for path in paths}
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise UsageError(f"{top / below} cannot be read: {error.strerror}.") from error
        return {}
    start = len(below) + 1 if below else 0
    return {path[start:]: file for path, file in found.items() if links or file.mode != SYMLINK}


def version_of(top: Path) -> str:
    """What names a folder's exact contents: the commit that it is a checkout of, where no file is
    another one than there; else a digest."""
    files = read_folder(top, links=True)
    commit = _commit_of(top, files)
    if commit:
        return commit
    digest = hashlib.sha256()
    for path, file in sorted(files.items()):
        digest.update(encode_path(path) + f"\0{file.mode:o}\0{len(file.content)}\0".encode())
        digest.update(file.content)
    return f"sha256:{digest.hexdigest()}"


def diff(before: Files, after: Files) -> bytes:
    """The change from some files to others, as git writes it."""
    with scratch_folder("diff-") as folder:
        store = TreeStore.create(folder / "trees.git")
        trees = [
            store.add_tree((path, file.mode, file.content) for path, file in sorted(side.items()))
            for side in (before, after)
        ]
        return store.diff(trees[0], trees[1])


def patch_of(files: Files) -> Patch:
    """The patch that adds some files."""
    return Patch(tuple(Change(path, f.mode, f.content) for path, f in sorted(files.items())))


def _walk(files: CheckoutFiles, folder: str) -> Iterator[str]:
    left_behind = IgnoreRules((("", BYPRODUCTS),))
    for name in sorted(os.fsencode(name) for name in files.names(folder or ".")):
        path = f"{folder}/" * bool(folder) + decode_path(name)
        state = files.state(path)
        if name == b".git" or state is None or left_behind.ignores(f"{path}/x"):
            continue
        if state.is_folder:
            yield from _walk(files, path)
        elif state.mode is not None and not left_behind.ignores(path):
            if state.size > MOST_BYTES:
                raise UsageError(f"{printable(path)} in {files.top} is too large for a suite.")
            yield path


def _read(files: CheckoutFiles, path: str) -> Found:
    state = files.state(path)
    content = files.read(path)
    return Found(content, (state.mode if state else None) or FILE)


def _commit_of(top: Path, files: Files) -> str:
    """The commit that holds exactly these files at `top`; empty where there is none."""
    try:
        checkout = find_checkout(top)
        commit = checkout.head()
        held = _held(checkout, commit, top) if commit else {}
    except (UsageError, GitError):
        return ""
    here = {path: _blob(file.content, len(commit or "")) for path, file in files.items()}
    return commit or "" if here and here == held else ""


def _held(checkout: Checkout, commit: str, top: Path) -> dict[str, str]:
    """The blobs of a commit by their path below `top`."""
    below = top.relative_to(checkout.top).as_posix()
    tree = commit if below == "." else f"{commit}:{below}"
    listing = checkout.git.run("ls-tree", "-r", "-z", "--full-tree", tree).stdout
    lines = (line.partition(b"\t") for line in listing.split(b"\0")[:-1])
    return {decode_path(raw): fields.split()[2].decode() for fields, _, raw in lines}


def _blob(content: bytes, digits: int) -> str:
    """The name that git gives a content, in a repository whose names have so many digits."""
    data = b"blob %d\0%s" % (len(content), content)
    return hashlib.sha1(data).hexdigest() if digits == 40 else hashlib.sha256(data).hexdigest()  # noqa: S324 - git's own
