"""A proved patch as one commit on a new branch, without touching work tree, index or HEAD.

The commit is HEAD plus the patch. Where the base held uncommitted changes, it is not HEAD that the
patch was made for: a touched file that had such changes is merged only when the patch's part of it
applies to HEAD's text as it stands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import PatchError, UsageError
from sandbox.git import Git, GitError
from sandbox.patch import GITLINK, Change, Patch, check_patch, decode_path, encode_path
from sandbox.scratch import scratch_folder
from sandbox.trees import Base, TreeStore
from tasks.discovery import Checkout, find_checkout, user_git
from tasks.workspace import named

BRANCH_PREFIX = "refs/heads/"
STASH = "Commit or stash the changes and run again, or use --apply, which keeps them."


@dataclass(frozen=True)
class Committed:
    """A file as a commit has it."""

    mode: int
    oid: str


def commit_on_branch(folder: Path, base: Base, patch: Patch, name: str, message: str) -> str:
    """Commit HEAD plus `patch` on the new branch `name` and give the commit's oid.

    Author and committer are the user's git identity. Raises UsageError, with nothing written to a
    branch: there is no commit yet, the name is taken or is none, no identity is configured, or the
    patch builds on uncommitted changes of a file.
    """
    checkout = find_checkout(folder)
    git = checkout.git
    head = checkout.head()
    if head is None:
        raise UsageError(
            f"{checkout.top} has no commit yet, so a branch has nothing to start from.",
            "Use --apply, or commit first.",
        )
    reference = _new_reference(git, name)
    check_patch(patch)
    committed = _files_of(git, head)
    patch = _on_head(checkout, committed, base, patch)
    tree = _tree_with(git, head, patch)
    commit = _commit(checkout, tree, head, message)
    try:
        git.run("update-ref", "-m", "greenroom", reference, commit, "0" * len(commit))
    except GitError as error:
        raise UsageError(f"The branch {name} could not be made: {error.stderr.strip()}") from error
    return commit


def check_new_branch(folder: Path, name: str) -> None:
    """Raise UsageError when `name` cannot be a new branch of the checkout, as `commit_on_branch`
    would: before any work is done for it."""
    _new_reference(find_checkout(folder).git, name)


def uncommitted_changes(folder: Path, base: Base) -> tuple[str, ...]:
    """The paths where `base` differs from the checkout's HEAD: what a proof on the base had, and a
    branch made of HEAD does not have. Empty where that cannot be told (no commit; a repository
    that names its objects otherwise)."""
    checkout = find_checkout(folder)
    head = checkout.head()
    if head is None or len(head) != len(base.tree):
        return ()
    committed = {
        path: (file.mode, file.oid)
        for path, file in _files_of(checkout.git, head).items()
        if file.mode != GITLINK
    }
    current = {entry.path: (entry.mode, entry.blob) for entry in base.entries.values()}
    changed = {path for path, _ in committed.items() ^ current.items()}
    return tuple(sorted(changed))


def _new_reference(git: Git, name: str) -> str:
    reference = BRANCH_PREFIX + name
    valid = git.run("check-ref-format", reference, check=False).status == 0
    if not valid or name.startswith("-") or name == "HEAD":
        raise UsageError(f"{name!r} cannot be a branch's name.", "Give --branch another one.")
    if git.run("rev-parse", "--quiet", "--verify", reference, check=False).status == 0:
        raise UsageError(f"There is a branch {name} already.", "Give --branch a new name.")
    return reference


def _files_of(git: Git, commit: str) -> dict[str, Committed]:
    found = {}
    for line in git.run("ls-tree", "-r", "-z", commit).stdout.split(b"\0")[:-1]:
        fields, _, raw = line.partition(b"\t")
        mode, _, oid = fields.split()
        found[decode_path(raw)] = Committed(int(mode, 8), oid.decode("ascii"))
    return found


def _on_head(
    checkout: Checkout, committed: Mapping[str, Committed], base: Base, patch: Patch
) -> Patch:
    """The patch as it is on HEAD. Raises UsageError that names the files where it is none."""
    kept: list[Change] = []
    mixed: list[str] = []
    for change in patch:
        before = base.store.blob(base.tree, change.path)
        there = _content(checkout.git, committed.get(change.path))
        if before == there:
            kept.append(change)
        elif there is not None and before is not None and _with_lf(before) == there:
            # The checkout's line endings are not those that the repository keeps.
            content = None if change.content is None else _with_lf(change.content)
            kept.append(Change(change.path, change.mode, content))
        else:
            mixed.append(change.path)
    if not mixed:
        return Patch(tuple(kept))
    return Patch(tuple(kept)).merge(_merged(checkout, committed, base, patch.only(mixed)))


def _merged(
    checkout: Checkout, committed: Mapping[str, Committed], base: Base, patch: Patch
) -> Patch:
    """The part of a patch on files with uncommitted changes, applied to HEAD's text of them."""
    store: TreeStore = base.store
    files = []
    for path in patch.paths:
        file = committed.get(path)
        content = _content(checkout.git, file)
        if file is not None and content is not None:
            files.append((path, file.mode, content))
    text = store.diff(base.tree, store.apply(base.tree, patch), patch.paths)
    try:
        return store.from_diff(store.add_tree(files), text)
    except PatchError as error:
        raise UsageError(
            f"The patch builds on uncommitted changes, so it is no commit on HEAD: "
            f"{named(patch.paths)}.",
            STASH,
        ) from error


def _content(git: Git, file: Committed | None) -> bytes | None:
    if file is None or file.mode == GITLINK:
        return None
    return git.run("cat-file", "blob", file.oid).stdout


def _with_lf(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


def _tree_with(git: Git, head: str, patch: Patch) -> str:
    """Write the patch's blobs and the tree of HEAD plus the patch, through an index of its own."""
    removed = [b"0 %s\t%s\0" % (b"0" * len(head), encode_path(c.path)) for c in patch if c.deleted]
    written = []
    for change in patch:
        if change.mode is not None and change.content is not None:
            stored = git.run("hash-object", "-w", "--no-filters", "--stdin", stdin=change.content)
            oid = stored.stdout.strip()
            written.append(b"%o %s\t%s\0" % (change.mode, oid, encode_path(change.path)))
    with scratch_folder("index-") as folder:
        environment = {"GIT_INDEX_FILE": str(folder / "index")}
        git.run("read-tree", head, environment=environment)
        lines = b"".join([*removed, *written])
        git.run("update-index", "-z", "--index-info", stdin=lines, environment=environment)
        return git.run("write-tree", environment=environment).stdout.decode("ascii").strip()


def _commit(checkout: Checkout, tree: str, parent: str, message: str) -> str:
    try:
        made = user_git(checkout).run(
            *("commit-tree", "--no-gpg-sign", "-p", parent, tree), stdin=message.encode("utf-8")
        )
    except GitError as error:
        if re.search(r"identity|user\.(name|email)|ident name", error.stderr):
            raise UsageError(
                "git does not know who you are, so nothing was committed.",
                "Set it: git config --global user.name NAME; "
                "git config --global user.email ADDRESS",
            ) from error
        raise
    return made.stdout.decode("ascii").strip()
