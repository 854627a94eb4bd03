"""A user's checkout as a base: what the user sees now, copied into a tree store.

Tracked files with their uncommitted changes, untracked files that are not ignored, and ignored ones
that were asked for. Contents are read by our own code, to the byte; the checkout is never written.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.delta import BY_PRODUCT_ENDINGS, BY_PRODUCT_FOLDERS, BY_PRODUCT_NAMES
from sandbox.errors import PatchError, UsageError
from sandbox.ignore import IgnoreRules, Rules, readable_lines
from sandbox.patch import GITLINK, SYMLINK, check_place, encode_path, parents, printable
from sandbox.trees import Base, TreeStore, in_pages
from tasks.discovery import Checkout, Listed, find_checkout, user_excludes
from tasks.nofollow import CheckoutFiles, State

# What tools leave behind when they run, untracked: a sandbox makes its own.
BYPRODUCTS = (
    *(f"{name}/" for name in sorted(BY_PRODUCT_FOLDERS)),
    *(f"*{ending}" for ending in BY_PRODUCT_ENDINGS),
    *sorted(BY_PRODUCT_NAMES),
    ".greenroom-*",  # what a killed process of ours left of applying a patch
)
DEFAULT_LIMIT_BYTES = 384 << 20
DEFAULT_LIMIT_FILES = 60_000
MAX_RULES_BYTES = 1 << 20
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
MAX_LFS_POINTER_BYTES = 1024
NAMED = 5


@dataclass(frozen=True)
class Prepared:
    """A checkout made into a base.

    `untracked` and `included` are what was taken beside the tracked files: not ignored files, and
    ignored ones that `include` asked for. `notes` are sentences for the user. `fingerprint` stands
    for what was read: see `fingerprint_of`.
    """

    base: Base
    checkout: Checkout
    untracked: tuple[str, ...]
    included: tuple[str, ...]
    notes: tuple[str, ...]
    head_commit: str | None
    fingerprint: str


@dataclass
class Selection:
    """The paths chosen from a checkout, and what there is to say about the others."""

    tracked: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)
    included: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[str, State] = field(default_factory=dict)

    def note(self, paths: Sequence[str], what: str) -> None:
        """Add a note that names a few of `paths`, when there are any."""
        if paths:
            self.notes.append(f"{what}: {named(paths)}.")


def prepare_base(
    folder: Path,
    store: TreeStore,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    limit_files: int = DEFAULT_LIMIT_FILES,
    in_memory: bool = True,
) -> Prepared:
    """Copy the checkout that `folder` is in into `store`.

    `include` and `exclude` are gitignore patterns, relative to the top: ignored files to take, and
    files to leave out; `in_memory` says where the sandbox keeps them. Raises UsageError, with what
    to do, for a folder in no checkout, a checkout without files, one beyond the limits (bytes in
    whole pages; files), an unreadable file.
    """
    checkout = find_checkout(folder)
    excludes = user_excludes()
    with CheckoutFiles(checkout.top) as files:
        selection = _select(checkout, files, excludes, tuple(include), tuple(exclude))
        sizes = {path: state.size for path, state in selection.files.items()}
        check_limits(sizes, limit_bytes, limit_files, in_memory=in_memory)
        tree = store.add_tree(_contents(files, selection))
        rules = _ignore_rules(checkout, files, selection, excludes)
    _note_links(store, tree, selection)
    return Prepared(
        base=Base(store, tree, rules),
        checkout=checkout,
        untracked=tuple(selection.untracked),
        included=tuple(selection.included),
        notes=tuple(selection.notes),
        head_commit=checkout.head(),
        fingerprint=fingerprint_of(selection.files),
    )


def fingerprint_of(states: Mapping[str, State | None]) -> str:
    """SHA-256 of what the file system says of files (kind, size, time of change): equal means that
    none was written since. Costs no reading of contents."""
    digest = hashlib.sha256()
    for path, state in sorted(states.items()):
        seen = (state.mode, state.size, state.modified) if state else None
        digest.update(encode_path(path) + f"\0{seen}\n".encode())
    return digest.hexdigest()


def named(paths: Sequence[str]) -> str:
    """A few paths for a message, and how many more there are."""
    shown = ", ".join(printable(path) for path in paths[:NAMED])
    more = len(paths) - NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown


def size_text(size: int) -> str:
    """A number of bytes for people, in binary units."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def _select(
    checkout: Checkout,
    files: CheckoutFiles,
    excludes: Path | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> Selection:
    """Choose the paths: each a regular file or a link that is there, listed once."""
    selection = Selection()
    wanted, unwanted = IgnoreRules((("", include),)), IgnoreRules((("", exclude),))
    byproducts = IgnoreRules((("", BYPRODUCTS),))
    index = checkout.tracked()
    modules = [entry.path for entry in index if entry.mode == GITLINK]
    untracked = checkout.untracked(excludes)
    nested = [path.rstrip("/") for path in untracked if path.endswith("/")]
    left = [path for path in untracked if not path.endswith("/")]
    ignored = checkout.untracked(excludes, ignored=True) if include else []
    ignored += [path for path in left if byproducts.ignores(path)]
    if include:
        ignored += [path for place in (*modules, *nested) for path in _walk(files, place)]

    tracked = [entry.path for entry in index if entry.mode != GITLINK]
    selection.tracked = _kept(files, selection, tracked, unwanted)
    selection.untracked = _kept(
        files, selection, [path for path in left if not byproducts.ignores(path)], unwanted
    )
    taken = [path for path in ignored if not path.endswith("/") and wanted.ignores(path)]
    selection.included = _kept(files, selection, taken, unwanted)
    _note_index(selection, index, files, unwanted)
    taken_from = {parent for path in selection.included for parent in parents(path)}
    selection.note(
        [path for path in modules if path not in taken_from],
        "Submodules are left out (name their files in `include` to take them)",
    )
    selection.note(
        [path for path in nested if path not in taken_from and not unwanted.ignores(path)],
        "Nested repositories are left out (name their files in `include` to take them)",
    )
    return selection


def _kept(
    files: CheckoutFiles, selection: Selection, paths: Iterable[str], unwanted: IgnoreRules
) -> list[str]:
    """Of these paths, those that are files or links and not excluded; they join the selection."""
    kept, special, refused = [], [], []
    for path in paths:
        if path in selection.files or unwanted.ignores(path):
            continue
        state = files.state(path)
        if state is None or state.is_folder:
            continue
        try:
            check_place(path)
        except PatchError:
            refused.append(path)
            continue
        if state.mode is None:
            special.append(path)
            continue
        selection.files[path] = state
        kept.append(path)
    selection.note(special, "Left out, for they are neither files nor links")
    selection.note(refused, "Left out, for git would refuse such names elsewhere")
    return kept


def _walk(files: CheckoutFiles, folder: str) -> Iterator[str]:
    """The files below a folder, without any repository's own `.git`."""
    state = files.state(folder)
    if state is None or not state.is_folder:
        return
    for raw in sorted(files.names(folder)):
        path = f"{folder}/{os.fsencode(raw).decode('utf-8', 'surrogateescape')}"
        found = files.state(path)
        if raw == ".git" or found is None:
            continue
        if found.is_folder:
            yield from _walk(files, path)
        else:
            yield path


def _note_index(
    selection: Selection, index: Sequence[Listed], files: CheckoutFiles, unwanted: IgnoreRules
) -> None:
    missing = [
        entry
        for entry in index
        if entry.mode != GITLINK
        and entry.path not in selection.files
        and not unwanted.ignores(entry.path)
        and files.state(entry.path) is None
    ]
    sparse = [entry.path for entry in missing if entry.sparse]
    if sparse:
        selection.notes.append(
            f"This is a sparse checkout: {len(sparse):,} tracked files are not in it, "
            f"so the sandbox does not have them either."
        )
    selection.note(
        [entry.path for entry in missing if not entry.sparse],
        "Deleted in your checkout, so the sandbox does not have them either",
    )
    selection.note(
        [entry.path for entry in index if entry.conflict], "These files have merge conflicts"
    )


def check_limits(
    files: Mapping[str, int], limit_bytes: int, limit_files: int, *, in_memory: bool = True
) -> None:
    """Raise UsageError when files, given with their sizes, are none or too many for a base;
    `in_memory` says where the sandbox keeps them."""
    if not files:
        raise UsageError(
            "The checkout has no files.", "Add some, or see that `exclude` leaves any."
        )
    folders = {folder for path in files for folder in parents(path)}
    count = len(files) + len(folders)
    sizes = {path: in_pages(size) for path, size in files.items()}
    total = sum(sizes.values())
    bound, advice = "", 'Leave folders out with `exclude` (for instance exclude = ["data/"])'
    if in_memory:
        bound = ", three quarters of `workspace_size`"
        advice += ', raise `workspace_size` and with it `memory`, or set `workspace` to "disk"'
    if total > limit_bytes:
        raise UsageError(
            f"The checkout has {size_text(total)} in {len(sizes):,} files; at most "
            f"{size_text(limit_bytes)} are taken{bound}. "
            f"Biggest: {_biggest(sizes)}.",
            f"{advice}.",
        )
    if count > limit_files:
        raise UsageError(
            f"The checkout has {count:,} files and folders; at most {limit_files:,} are taken. "
            f"Most are in: {_biggest(dict.fromkeys(sizes, 1), bytes_=False)}.",
            f"{advice}.",
        )


def _biggest(sizes: dict[str, int], *, bytes_: bool = True) -> str:
    """The top folders (two levels deep) and top files with the most in them."""
    groups: Counter[str] = Counter()
    for path, size in sizes.items():
        above = path.split("/")[:-1][:2]
        groups["/".join(above) + "/" if above else path] += size
    return ", ".join(
        f"{printable(place)} ({size_text(amount) if bytes_ else f'{amount:,}'})"
        for place, amount in groups.most_common(NAMED)
    )


def _contents(files: CheckoutFiles, selection: Selection) -> Iterator[tuple[str, int, bytes]]:
    pointers: list[str] = []
    for path in sorted(selection.files):
        state = selection.files[path]
        try:
            content = files.read(path)
        except FileNotFoundError as error:
            raise UsageError(
                f"{printable(path)} vanished while the checkout was read.", "Try again."
            ) from error
        except OSError as error:
            raise UsageError(
                f"{printable(path)} cannot be read: {error.strerror}.",
                "Make it readable, or leave it out with `exclude`.",
            ) from error
        if len(content) < MAX_LFS_POINTER_BYTES and content.startswith(LFS_POINTER):
            pointers.append(path)
        yield path, state.mode or 0, content
    selection.note(
        pointers, "Git LFS pointers, whose contents are not here (`git lfs pull` gets them)"
    )


def _note_links(store: TreeStore, tree: str, selection: Selection) -> None:
    links = [entry for entry in store.entries(tree) if entry.mode == SYMLINK]
    outside = []
    for entry, target in zip(links, store.read(link.blob for link in links), strict=True):
        reached = os.path.normpath(os.path.join(encode_path(entry.path), b"..", target))
        if os.path.isabs(target) or reached.split(b"/")[0] == b"..":
            outside.append(entry.path)
    selection.note(outside, "Links that point out of the checkout lead nowhere in the sandbox")


def _ignore_rules(
    checkout: Checkout, files: CheckoutFiles, selection: Selection, excludes: Path | None
) -> Rules:
    """The rules in rising priority: the user's own, the repository's private ones, its files'."""
    with CheckoutFiles(checkout.common_folder) as repository:
        info = _rules_in(repository, "info/exclude")
    own = readable_lines(excludes.read_bytes()[:MAX_RULES_BYTES]) if excludes else ()
    rules = [("", own), ("", info)]
    for path in sorted(selection.files):
        folder, _, name = path.rpartition("/")
        if name == ".gitignore":
            rules.append((folder, _rules_in(files, path)))
    return tuple(rule for rule in rules if rule[1])


def _rules_in(files: CheckoutFiles, path: str) -> tuple[str, ...]:
    """The rules in a file; none when it is a link, as git has it, or is not there."""
    state = files.state(path)
    if state is None or state.mode in (None, SYMLINK):
        return ()
    return readable_lines(files.read(path)[:MAX_RULES_BYTES])
