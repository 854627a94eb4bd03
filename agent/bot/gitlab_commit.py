"""A patch as one commit through GitLab's commits API: its actions, and what it cannot store."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from agent.bot.exchange import quoted
from agent.bot.forge import ForgeError
from agent.bot.gitlab_api import Api
from sandbox.patch import EXECUTABLE, FILE, SYMLINK, Change, Patch, printable

_STORABLE = (FILE, EXECUTABLE)
_NO_FOLDER = ("Tree Not Found", "invalid revision or path")
_LINK = f"{SYMLINK:o}"


def commit(
    api: Api,
    home: str,
    base: str,
    branch: str,
    parent: str,
    message: str,
    patch: Patch,
    expected: str | None,
) -> str:
    """Makes the commit in the project `home` (`base` has `parent`) and gives its id."""
    check_storable(patch)
    actions = _actions(patch, _modes(api, base, parent, patch))
    head = _head(api, home, branch)
    if head != expected:
        raise _moved(branch, expected, head)
    data: dict[str, Any] = {"branch": branch, "commit_message": message, "actions": actions}
    if expected != parent:
        data |= {"start_sha": parent, "force": expected is not None}
        if home != base:
            data["start_project"] = api.get("read the project", base)["id"]

    def found() -> dict[str, Any] | None:
        return _made(_branch(api, home, branch), parent, message, expected)

    try:
        made = api.create(f"commit to {branch}", f"{home}/repository/commits", data, found)
    except ForgeError as problem:
        head = _head(api, home, branch)
        raise (problem if head == expected else _moved(branch, expected, head)) from None
    if made["parent_ids"] != [parent]:
        raise ForgeError(
            f"Somebody pushed to {branch} at the same moment; commit {made['id'][:12]} stands on "
            "theirs.",
            "Nothing of theirs is lost; look at the branch before it is merged.",
            status=409,
        )
    return str(made["id"])


def contains(api: Api, project: str, head: str, commit: str) -> bool:
    """Whether `commit` is `head` or one that came before it."""
    if commit == head:
        return True
    what, at = f"look for {commit[:12]}", f"{project}/repository/merge_base"
    try:
        found = api.find(what, at, {"refs[]": [commit, head]}, missing=("Merge Base Not Found",))
    except ForgeError as problem:
        if problem.status == 400 and "Could not find ref" in problem.message:
            return False
        raise
    return found is not None and found["id"] == commit


def check_storable(patch: Patch) -> None:
    """Raises ForgeError for a patch that GitLab's API cannot store."""
    for change in patch:
        shown = printable(change.path)
        if not change.deleted and change.mode not in _STORABLE:
            kind = "a symbolic link" if change.mode == SYMLINK else f"mode {change.mode:o}"
            raise ForgeError(
                f"GitLab's API cannot store {shown}: it is {kind}.",
                "Apply the patch by hand: the run's report has it.",
                status=422,
            )
        try:
            change.path.encode("utf-8")
        except UnicodeEncodeError:
            raise ForgeError(
                f"GitLab's API cannot store {shown}: its name is not UTF-8.",
                "Apply the patch by hand: the run's report has it.",
                status=422,
            ) from None


def _moved(branch: str, expected: str | None, head: str | None) -> ForgeError:
    where = "is there already" if expected is None else f"is no longer at {expected[:12]}"
    now = f" but at {head[:12]}" if head and expected else ""
    return ForgeError(
        f"The branch {branch} {where}{now}.", "Nothing was written; ask again.", status=409
    )


def _made(
    branch: dict[str, Any] | None, parent: str, message: str, expected: str | None
) -> dict[str, Any] | None:
    """The branch's latest commit, where it is the one to make."""
    latest: dict[str, Any] = branch["commit"] if branch else {}
    same = latest.get("parent_ids") == [parent]
    same = same and latest.get("message", "").strip() == message.strip()
    return latest if same and latest["id"] != expected else None


def _branch(api: Api, project: str, branch: str) -> dict[str, Any] | None:
    at = f"{project}/repository/branches/{quoted(branch)}"
    return api.find(f"look at {branch}", at, missing=("Branch Not Found",))


def _head(api: Api, project: str, branch: str) -> str | None:
    found = _branch(api, project, branch)
    return None if found is None else str(found["commit"]["id"])


def _modes(api: Api, project: str, parent: str, patch: Patch) -> dict[str, str]:
    """The modes, as git writes them, of the files of `parent` that the patch changes."""
    folders = sorted({str(PurePosixPath(path).parent) for path in patch.paths})
    modes: dict[str, str] = {}
    for folder in folders:
        query = {"ref": parent, "path": "" if folder == "." else folder}
        what = f"list {folder} at {parent[:12]}"
        place = f"{project}/repository/tree"
        for entry in api.list(what, place, query, missing=_NO_FOLDER):
            if entry["type"] != "tree":
                modes[entry["path"]] = entry["mode"]
    return modes


def _actions(patch: Patch, modes: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    """Deletions first: a file may make room for a folder of its name."""
    gone = [{"action": "delete", "file_path": each.path} for each in patch if _leaves(each, modes)]
    kept = [action for change in patch if not change.deleted for action in _writes(change, modes)]
    return [*gone, *kept]


def _leaves(change: Change, modes: Mapping[str, str]) -> bool:
    """Whether the path's old entry is deleted; a link is, also where a file takes its place, as
    an update would keep it a link."""
    return change.deleted or modes.get(change.path) == _LINK


def _writes(change: Change, modes: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    before = modes.get(change.path, _LINK)
    update = before != _LINK
    content = base64.b64encode(change.content or b"").decode("ascii")
    actions: list[dict[str, Any]] = [
        {
            "action": "update" if update else "create",
            "file_path": change.path,
            "content": content,
            "encoding": "base64",
        }
    ]
    executable = change.mode == EXECUTABLE
    if executable != (update and before == f"{EXECUTABLE:o}"):
        chmod = {"action": "chmod", "file_path": change.path, "execute_filemode": executable}
        actions.append(chmod)
    return actions
