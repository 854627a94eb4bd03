"""Proving a patch that anybody made: `greenroom verify`, without any model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.request import (
    Request,
    image_of,
    policy_of,
    settings_of,
    suite_task,
    task_on_base,
)
from agent.settings import Settings
from agent.settingsfile import Reader, RepositoryFile, repository_file
from sandbox.errors import PatchError, UsageError
from sandbox.patch import Patch
from sandbox.scratch import scratch_folder
from sandbox.trees import Base, TreeStore
from tasks.discovery import find_checkout
from tasks.repository import base_limits
from tasks.revision import base_of_commit, merge_base, of_commit, patch_between, resolve
from tasks.tally import TestProgress
from tasks.task import Task, Verdict
from tasks.verify import verify
from tasks.workspace import prepare_base

Say = Callable[[str], None]
#: A diff has both sides of what changes, and binary files as text.
MOST_DIFF_BYTES = 256 << 20


@dataclass(frozen=True)
class Claim:
    """A patch and what it is said to be good for.

    `diff` is a diff's text, or None when `revisions` name the commits between which it stands.
    `base` is the commit that the diff applies to; None means the files as they are now.
    """

    diff: bytes | None = None
    revisions: tuple[str, str] | None = None
    base: str | None = "HEAD"


@dataclass(frozen=True)
class Proof:
    """A claim's verdict, and the patch that was judged, as a tree delta and as a diff: without its
    changes to protected files."""

    patch: Patch
    verdict: Verdict
    diff: str


async def prove(
    request: Request,
    claim: Claim,
    say: Say,
    testing: Callable[[TestProgress], None] | None = None,
) -> Proof:
    """Judges a claim in clean rooms; `testing` is told each second how the tests stand.

    Raises UsageError or PatchError for a patch that is none or does not apply, SetupError when
    there is no engine or image; each is shown to the user as it is.
    """
    found = settings_of(request, say, _reader(request, claim, say))
    with _prepared(request, claim, found, say) as (task, patch):
        image = await image_of(task.image, found, say, checkout=task.base)
        verdict = await verify(
            task, patch, image=image, as_a_whole=True, progress=say, testing=testing
        )
        store = task.base.store
        judged = patch.only(path for path in patch.paths if path not in verdict.left_out)
        diff = store.diff(task.base.tree, store.apply(task.base.tree, judged))
        return Proof(judged, verdict, diff.decode("utf-8", "replace"))


def _reader(request: Request, claim: Claim, say: Say) -> Reader | None:
    """Where the judge's settings stand: in the commit that is judged on, not in the files that may
    come with the patch; but for settings that the user has changed and not committed."""
    if request.suite_task or claim.base is None:
        return None
    checkout = find_checkout(request.folder)
    judged = of_commit(checkout, resolve(checkout, claim.base))
    head = checkout.head()
    here, committed, base = (
        repository_file(checkout.top, read)
        for read in (None, of_commit(checkout, head) if head else judged, judged)
    )
    if _table(here) != _table(committed):
        return None
    if _table(here) != _table(base):
        say(f"settings are those of {claim.base}, not of the files here")
    return judged


def _table(file: RepositoryFile | None) -> Mapping[str, object]:
    return file.table if file else {}


@contextmanager
def _prepared(
    request: Request, claim: Claim, found: Settings, say: Say
) -> Iterator[tuple[Task, Patch]]:
    with scratch_folder() as folder:
        store = TreeStore.create(folder / "trees.git")
        if request.suite_task:
            task = suite_task(request, found, store)
        else:
            base = _base(request, claim, found, store, say)
            task = task_on_base(base, request, found)
        for note in task.notes:
            say(note)
        yield task, _patch(request, claim, task.base, found["exclude"])


def _base(request: Request, claim: Claim, found: Settings, store: TreeStore, say: Say) -> Base:
    limits = base_limits(policy_of(found))
    exclude = found["exclude"]
    if claim.base is None:
        include = found["include"]
        prepared = prepare_base(request.folder, store, include=include, exclude=exclude, **limits)
        return prepared.base
    revision = base_of_commit(request.folder, store, claim.base, exclude=exclude, **limits)
    for note in revision.notes:
        say(note)
    say(f"judged on the commit {revision.commit[:12]}")
    return revision.base


def _patch(request: Request, claim: Claim, base: Base, exclude: Sequence[str]) -> Patch:
    if claim.revisions is not None:
        return patch_between(request.folder, base.store, base, claim.revisions[1], exclude=exclude)
    try:
        return base.store.from_diff(base.tree, claim.diff or b"")
    except PatchError as problem:
        if claim.base and not request.suite_task and "does not apply" in problem.message:
            problem.hint = (
                f"{problem.hint} Here that is {claim.base}; --base names another commit, "
                "--worktree takes the files as they are now."
            )
        raise


def revisions_of(folder: Path, text: str) -> tuple[str, str]:
    """The two commits of `A..B`, `A...B` (from where they parted) or `C` (what it changed).

    Raises UsageError for anything else.
    """
    first, dots, second = text.partition("...") if "..." in text else text.partition("..")
    if not dots:
        return _parent(folder, text), text
    first, second = first or "HEAD", second or "HEAD"
    if dots == "...":
        return merge_base(folder, first, second), second
    return first, second


def _parent(folder: Path, text: str) -> str:
    """The commit before the commit `text`. Raises UsageError when either is none."""
    checkout = find_checkout(folder)
    try:
        resolve(checkout, text)
    except UsageError:
        raise UsageError(
            f"{text!r} is neither a file nor a commit of {checkout.top}",
            "Give a diff's file, commits such as A..B, or - for standard input.",
        ) from None
    try:
        resolve(checkout, f"{text}^")
    except UsageError:
        raise UsageError(
            f"{text} is the first commit, so there is none before it to judge it on",
            "Give two commits: A..B.",
        ) from None
    return f"{text}^"


def read_diff(path: Path) -> bytes:
    """The content of a diff's file. Raises UsageError."""
    try:
        with path.open("rb") as stream:
            return bounded_diff(stream, str(path))
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {problem.strerror}") from None


def bounded_diff(stream: BinaryIO, name: str) -> bytes:
    """All that a stream holds. Raises UsageError where that is more than any diff."""
    diff = stream.read(MOST_DIFF_BYTES + 1)
    if len(diff) > MOST_DIFF_BYTES:
        raise UsageError(
            f"the patch from {name} is larger than any: over {MOST_DIFF_BYTES >> 20} MiB",
            "Leave large files out of it; a patch may hold 64 MB of them.",
        )
    return diff
