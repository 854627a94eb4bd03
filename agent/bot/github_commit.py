"""A patch as one commit through GitHub's git data API: blobs, a tree, a commit, a branch.

No author is named, so GitHub signs the commit as the token's.
"""

import base64
from typing import Any

from agent.bot.exchange import quoted
from agent.bot.forge import ForgeError
from agent.bot.github_api import Api
from sandbox.patch import EXECUTABLE, FILE, SYMLINK, Change, Patch, printable

_STORABLE = (FILE, EXECUTABLE, SYMLINK)


def commit(
    api: Api,
    home: str,
    branch: str,
    parent: str,
    message: str,
    patch: Patch,
    expected: str | None,
) -> str:
    """Makes the commit in the repository at `home` and gives its id; see Forge."""
    check_storable(patch)
    head = head_of(api, home, branch)
    if head != expected:
        raise _moved(branch, expected, head)
    base = api.get(f"read the commit {parent[:12]}", f"{home}/git/commits/{parent}")
    entries = [_entry(api, home, change) for change in patch]
    tree = {"base_tree": base["tree"]["sha"], "tree": entries}
    what = f"commit to {branch}"
    made = api.write(what, "POST", f"{home}/git/trees", tree)
    data = {"message": message, "tree": made["sha"], "parents": [parent]}
    sha = str(api.write(what, "POST", f"{home}/git/commits", data)["sha"])
    _place(api, home, branch, sha, expected, forced=parent != expected)
    return sha


def head_of(api: Api, home: str, branch: str) -> str | None:
    """The commit of a branch, None where there is no such branch."""
    found = api.find(f"look at {branch}", f"{home}/git/ref/{ref(branch)}")
    return None if found is None else str(found["object"]["sha"])


def contains(api: Api, at: str, head: str, commit: str) -> bool:
    """Whether `commit` is `head` or one that came before it."""
    if commit == head:
        return True
    what, place = f"look for {commit[:12]}", f"{at}/compare/{quoted(commit)}...{head}"
    found = api.find(what, place, {"per_page": 1})
    return found is not None and found["merge_base_commit"]["sha"] == commit


def ref(branch: str) -> str:
    """A branch as the end of an address of the git data API."""
    return quoted(f"heads/{branch}")


def check_storable(patch: Patch) -> None:
    """Raises ForgeError for a patch that GitHub's API cannot store."""
    for change in patch:
        shown = printable(change.path)
        if not change.deleted and change.mode not in _STORABLE:
            raise _unstorable(f"{shown}: it has the mode {change.mode:o}")
        try:
            change.path.encode("utf-8")
        except UnicodeEncodeError:
            raise _unstorable(f"{shown}: its name is not UTF-8") from None


def _unstorable(what: str) -> ForgeError:
    return ForgeError(
        f"GitHub's API cannot store {what}.",
        "Apply the patch by hand: the run's report has it.",
        status=422,
    )


def _entry(api: Api, home: str, change: Change) -> dict[str, Any]:
    entry = {"path": change.path, "mode": f"{change.mode or FILE:o}", "type": "blob"}
    if change.deleted:
        return {**entry, "sha": None}
    content = base64.b64encode(change.content or b"").decode("ascii")
    data = {"content": content, "encoding": "base64"}
    made = api.write(f"store {printable(change.path)}", "POST", f"{home}/git/blobs", data)
    return {**entry, "sha": made["sha"]}


def _place(
    api: Api, home: str, branch: str, sha: str, expected: str | None, *, forced: bool
) -> None:
    """Puts the branch at `sha`. A new branch, and one that only goes forward, cannot overwrite what
    somebody pushed since we looked; GitHub offers nothing of the kind where history is replaced."""
    try:
        if expected is None:
            data: dict[str, Any] = {"ref": f"refs/heads/{branch}", "sha": sha}
            api.write(f"make the branch {branch}", "POST", f"{home}/git/refs", data)
        else:
            data = {"sha": sha, "force": forced}
            at = f"{home}/git/refs/{ref(branch)}"
            api.write(f"move the branch {branch}", "PATCH", at, data)
    except ForgeError as problem:
        if problem.status not in (409, 422):
            raise
        head = head_of(api, home, branch)
        if head == sha:  # done by a try whose answer was lost
            return
        if head == expected:
            raise
        raise _moved(branch, expected, head) from problem


def _moved(branch: str, expected: str | None, head: str | None) -> ForgeError:
    where = "is there already" if expected is None else f"is no longer at {expected[:12]}"
    now = f" but at {head[:12]}" if head and expected else ""
    return ForgeError(
        f"The branch {branch} {where}{now}.", "Nothing was written; ask again.", status=409
    )
