"""A commit of the user's repository as a base, and the patch between two commits.

Only objects are read: no filter, hook or other program that the repository's settings could name
is run, and the work tree is not looked at.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.git import GitError
from sandbox.ignore import IgnoreRules, Rules, readable_lines
from sandbox.patch import GITLINK, Patch, decode_path
from sandbox.trees import EMPTY_TREE, Base, TreeStore
from tasks.discovery import Checkout, find_checkout, user_excludes
from tasks.workspace import MAX_RULES_BYTES, check_limits, named


@dataclass(frozen=True)
class Revision:
    """A commit made into a base. `notes` are sentences for the user."""

    base: Base
    commit: str
    notes: tuple[str, ...]


def resolve(checkout: Checkout, name: str) -> str:
    """The oid of the commit that `name` means. Raises UsageError when it means none."""
    try:
        found = checkout.git.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
    except GitError:
        if name == "HEAD":
            raise UsageError(
                f"{checkout.top} has no commits yet.", "Commit something first."
            ) from None
        raise UsageError(
            f"{name!r} is not a commit of {checkout.top}.", "See `git log` for its commits."
        ) from None
    return found.stdout.decode("ascii").strip()


def base_of_commit(
    folder: Path,
    store: TreeStore,
    name: str,
    *,
    limit_bytes: int,
    limit_files: int,
    in_memory: bool = True,
    exclude: Sequence[str] = (),
) -> Revision:
    """Copy the files of the commit `name` into `store`, as they are in the repository. `exclude`
    are gitignore patterns of files to leave out; the limits are as for `prepare_base`.

    Raises UsageError for a folder in no checkout, a name that means no commit, more than the
    workspace takes, and a repository that lacks some of the files.
    """
    checkout = find_checkout(folder)
    commit = resolve(checkout, name)
    files, modules = _files(checkout, commit, exclude)
    sizes = {path: size for path, _, _, size in files}
    check_limits(sizes, limit_bytes, limit_files, in_memory=in_memory)
    tree = store.add_tree(_contents(checkout, commit, files))
    notes = [f"Submodules are left out: {named(modules)}."] if modules else []
    return Revision(Base(store, tree, rules_of(store, tree)), commit, tuple(notes))


def of_commit(checkout: Checkout, commit: str) -> Callable[[str], bytes | None]:
    """Reads files of a commit by their path; None where it has no such file."""
    objects = TreeStore(checkout.git_folder)
    return lambda path: objects.blob(commit, path)


def patch_between(
    folder: Path, store: TreeStore, base: Base, name: str, *, exclude: Sequence[str] = ()
) -> Patch:
    """What changed from `base` to the commit `name`, but for what `exclude` names. Raises
    UsageError, and PatchError for what no patch may hold."""
    checkout = find_checkout(folder)
    commit = resolve(checkout, name)
    files, _ = _files(checkout, commit, exclude)
    return store.between(base.tree, store.add_tree(_contents(checkout, commit, files)))


def merge_base(folder: Path, first: str, second: str) -> str:
    """The commit at which two commits parted. Raises UsageError when they have none in common."""
    checkout = find_checkout(folder)
    names = [resolve(checkout, name) for name in (first, second)]
    found = checkout.git.run("merge-base", *names, check=False)
    if found.status != 0:
        raise UsageError(f"{first} and {second} have no commit in common.", "Give A..B instead.")
    return found.stdout.decode("ascii").split()[0]


_File = tuple[str, int, str, int]


def _files(
    checkout: Checkout, commit: str, exclude: Sequence[str]
) -> tuple[list[_File], list[str]]:
    """(path, mode, blob, size) of a commit's files, and the paths of its submodules."""
    unwanted = IgnoreRules((("", tuple(exclude)),))
    try:
        listing = checkout.git.run("ls-tree", "-r", "-z", "--long", "--full-tree", commit).stdout
    except GitError as error:
        raise _incomplete(checkout, commit, error) from error
    files: list[_File] = []
    modules = []
    for line in listing.split(b"\0")[:-1]:
        fields, _, raw = line.partition(b"\t")
        mode, _, blob, size = fields.split()
        path = decode_path(raw)
        if int(mode, 8) == GITLINK:
            modules.append(path)
        elif not unwanted.ignores(path):
            files.append((path, int(mode, 8), blob.decode("ascii"), int(size)))
    return files, modules


def _contents(
    checkout: Checkout, commit: str, files: list[_File]
) -> Iterator[tuple[str, int, bytes]]:
    objects = TreeStore(checkout.git_folder).read(blob for _, _, blob, _ in files)
    try:
        for (path, mode, _, _), content in zip(files, objects, strict=True):
            yield path, mode, content
    except (GitError, KeyError) as error:
        raise _incomplete(checkout, commit, error) from error


def _incomplete(checkout: Checkout, commit: str, error: Exception) -> UsageError:
    """The error for a repository that lacks objects. Git fetches those of a partial clone by
    itself, which would run what the repository's settings name: so here it does not."""
    partial = checkout.git.run("config", "--get-regexp", r"^remote\..*\.promisor$", check=False)
    if partial.stdout:
        # A diff against nothing asks for all that is missing at once.
        fetch = ("git", "-C", str(checkout.top), "diff", "--stat", EMPTY_TREE, commit[:12])
        return UsageError(
            f"{checkout.top} is a partial clone and does not have all files of {commit[:12]}.",
            f"Fetch them: {shlex.join(fetch)} >/dev/null",
        )
    said = error.stderr.strip() if isinstance(error, GitError) else f"{error} is missing"
    return UsageError(
        f"The repository of {checkout.top} could not be read: {said}", "See `git fsck` there."
    )


def rules_of(store: TreeStore, tree: str) -> Rules:
    """The ignore rules in rising priority: the user's own, then those of the tree's files."""
    excludes = user_excludes()
    own = readable_lines(excludes.read_bytes()[:MAX_RULES_BYTES]) if excludes else ()
    rules = [("", own)] if own else []
    files = [entry for entry in store.entries(tree) if entry.path.endswith(".gitignore")]
    for entry, content in zip(files, store.read(entry.blob for entry in files), strict=True):
        folder, _, name = entry.path.rpartition("/")
        if name == ".gitignore":
            rules.append((folder, readable_lines(content[:MAX_RULES_BYTES])))
    return tuple(rules)
