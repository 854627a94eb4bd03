"""A proved patch brought to the user's checkout: written into its files, or nothing at all.

A file that is no longer as it was when the base was made is never overwritten: then nothing is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.patch import EXECUTABLE, Change, Patch, check_patch, parents, printable
from sandbox.trees import Base, Entry
from tasks.discovery import find_checkout
from tasks.nofollow import CheckoutFiles, State
from tasks.workspace import fingerprint_of, named


@dataclass(frozen=True)
class Applied:
    """What applying a patch did.

    `already` were in their new state before. `changed_meanwhile` are files that the patch does not
    touch and that are no longer as they were when the base was made: the proof was made without
    these changes.
    """

    written: tuple[str, ...]
    removed: tuple[str, ...]
    already: tuple[str, ...]
    changed_meanwhile: tuple[str, ...]


def apply_to_checkout(folder: Path, base: Base, patch: Patch, fingerprint: str) -> Applied:
    """Write a patch of `base` into the checkout that `folder` is in.

    Only changed files are written, each at once (a temporary file beside it, then a rename), with
    its permissions kept; folders that deletions leave empty go. Links are never followed.
    `fingerprint` is that of the base's preparation. Raises UsageError, with nothing changed, when
    a file that the patch touches is no longer as in the base or cannot be written, and while
    another process writes there.
    """
    entries = base.entries
    check_patch(patch, base={path: entry.mode for path, entry in entries.items()})
    with CheckoutFiles(find_checkout(folder).top) as files, files.locked():
        ours = _base_contents(base, [entries[p] for p in patch.paths if p in entries])
        open_changes, already = _unapplied(files, entries, ours, patch)
        _check_places(files, open_changes, entries)
        changed = _changed_meanwhile(files, base, entries, patch, fingerprint)
        try:
            _write(files, open_changes)
        except OSError as error:
            raise UsageError(
                f"The patch could not be written to {files.top}: {error.strerror or error}.",
                "See that its folders are writable and the disk is not full.",
            ) from error
    return Applied(
        written=tuple(change.path for change in open_changes if not change.deleted),
        removed=tuple(change.path for change in open_changes if change.deleted),
        already=already,
        changed_meanwhile=changed,
    )


def _base_contents(base: Base, entries: list[Entry]) -> dict[str, bytes]:
    contents = base.store.read(entry.blob for entry in entries)
    return {entry.path: content for entry, content in zip(entries, contents, strict=True)}


def _unapplied(
    files: CheckoutFiles, entries: Mapping[str, Entry], ours: Mapping[str, bytes], patch: Patch
) -> tuple[list[Change], tuple[str, ...]]:
    """The changes that are still to be made, and the paths where they are made already. Raises
    UsageError that names every file that is neither as in the base nor as the patch makes it."""
    todo: list[Change] = []
    already: list[str] = []
    conflicts: list[str] = []
    for change in patch:
        path, entry = change.path, entries.get(change.path)
        if _stands(files, path, change.mode, change.content):
            already.append(path)
        elif _stands(files, path, entry.mode if entry else None, ours.get(path)):
            todo.append(change)
        else:
            conflicts.append(path)
    if conflicts:
        raise UsageError(
            f"These files changed since the run began, so nothing was applied: {named(conflicts)}.",
            "Commit or undo these changes and apply again, or take the patch as a file and "
            "merge it by hand.",
        )
    return todo, tuple(already)


def _stands(files: CheckoutFiles, path: str, mode: int | None, content: bytes | None) -> bool:
    """Whether exactly this file, or no file (mode None), stands at a path.

    A folder counts as no file: whether one can stand there is `_check_places`'s question.
    """
    state = files.state(path)
    if state is None or state.is_folder:
        return mode is None
    if mode is None or state.mode != mode:
        return False
    return state.mode == mode and files.read(path) == content


def _check_places(
    files: CheckoutFiles, changes: list[Change], entries: Mapping[str, Entry]
) -> None:
    """Raise UsageError when something that is not in the base stands where a file or a folder has
    to be: an untracked link or file on the way, or a folder with files of its own."""
    going = {change.path for change in changes if change.deleted}
    obstacles: list[str] = []
    for change in changes:
        if change.deleted:
            continue
        for above in parents(change.path):
            state = files.state(above)
            if state is not None and not state.is_folder and above not in going:
                obstacles.append(above)
        state = files.state(change.path)
        if state is not None and state.is_folder:
            obstacles += [path for path in _below(files, change.path) if path not in going]
    if obstacles:
        raise UsageError(
            f"These stand in the way of the patch, so nothing was applied: "
            f"{named(sorted(set(obstacles)))}.",
            "Move them away and apply again.",
        )


def _below(files: CheckoutFiles, folder: str) -> Iterator[str]:
    for name in files.names(folder):
        path = f"{folder}/{name}"
        state = files.state(path)
        if state is not None and state.is_folder:
            yield from _below(files, path)
        else:
            yield path


def _changed_meanwhile(
    files: CheckoutFiles,
    base: Base,
    entries: Mapping[str, Entry],
    patch: Patch,
    fingerprint: str,
) -> tuple[str, ...]:
    """The base's files, beside the patch's, whose kind or content is another now. Contents are
    read only when the fingerprint says that something was written."""
    states: dict[str, State | None] = {path: files.state(path) for path in entries}
    if fingerprint_of(states) == fingerprint:
        return ()
    touched = set(patch.paths)
    others = [entry for entry in entries.values() if entry.path not in touched]
    contents = base.store.read(entry.blob for entry in others)
    return tuple(
        entry.path
        for entry, content in zip(others, contents, strict=True)
        if not _stands(files, entry.path, entry.mode, content)
    )


def _write(files: CheckoutFiles, changes: list[Change]) -> None:
    """Write all new contents aside first, where a full disk or a missing right shows before
    anything is changed; then remove, make folders and move into place."""
    staged: dict[str, str] = {}
    files.remove_staged(change.path for change in changes)
    try:
        for change in changes:
            if change.content is not None:
                permissions = _permissions(files, change)
                staged[change.path] = files.stage(change.path, change.content, permissions)
        deletions = [change.path for change in changes if change.deleted]
        for path in deletions:
            files.check_removable(path)
        for path in deletions:
            files.remove(path)
        for path, temporary in list(staged.items()):
            for above in reversed(list(parents(path))):
                files.make_folder(above)
            _clear_folder(files, path)
            files.place(temporary, path)
            del staged[path]
        for path in deletions:
            for above in parents(path):
                if not files.remove_folder(above):
                    break
    finally:
        for temporary in staged.values():
            files.remove(temporary)


def _permissions(files: CheckoutFiles, change: Change) -> int:
    """A new file's permissions come from the umask, a changed one keeps its own; execution follows
    reading, as git sets it."""
    state = files.state(change.path)
    executable = change.mode == EXECUTABLE
    if state is None or state.is_folder or state.mode not in (EXECUTABLE, 0o100644):
        return 0o777 if executable else 0o666
    if executable == (state.mode == EXECUTABLE):
        return state.permissions
    readable = state.permissions & 0o444
    return state.permissions | readable >> 2 if executable else state.permissions & ~0o111


def _clear_folder(files: CheckoutFiles, path: str) -> None:
    """Remove the empty folders where a file is to stand; `_check_places` saw that they are."""
    state = files.state(path)
    if state is None or not state.is_folder:
        return
    for name in files.names(path):
        _clear_folder(files, f"{path}/{name}")
    if not files.remove_folder(path):
        raise OSError(f"{printable(path)} is a folder with files in it")
