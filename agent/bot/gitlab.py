"""GitLab, on gitlab.com or self-managed, as the bot's forge."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from agent.bot import gitlab_build, gitlab_commit, gitlab_confirm
from agent.bot.exchange import quoted
from agent.bot.forge import (
    Comment,
    FailedJob,
    ForgeError,
    Issue,
    NewPull,
    Pull,
    Remark,
    Repository,
)
from agent.bot.gitlab_api import Api, base_url
from agent.bot.gitlab_data import (
    DRAFT,
    clone_url,
    comment_of,
    is_same,
    issue_of,
    moment,
    remark_of,
    shortened,
    titled,
)
from agent.bot.trigger import Actor, Build, Place, Trigger
from sandbox.errors import SetupError
from sandbox.patch import Patch

DEVELOPER = 30
VARIABLE = "GITLAB_TOKEN"
REACTION = "eyes"
MESSAGES = 20
#: Comments of the bot that are older are not asked for, also where one was edited since.
OLDEST_COMMENT = timedelta(days=90)
#: REST does not tell when an issue's words were changed, only when anything of it was.
_EDITED = """
query($id: WorkItemID!) {
  workItem(id: $id) { widgets { ... on WorkItemWidgetDescription { lastEditedAt } } }
}
"""
_STATES: Mapping[str, Literal["open", "closed", "merged"]] = {
    "opened": "open",
    "locked": "open",
    "merged": "merged",
}


class GitLab:
    """A project on GitLab, with the rights of one token.

    `project` is its path or id. `login` is whom the bot's comments are from where that is not the
    token's own account: the job that proposes reads with a token of its own.
    """

    name: Literal["github", "gitlab"] = "gitlab"

    def __init__(self, api: Api, project: str, login: str = "") -> None:
        self._api = api
        self._at = f"/projects/{quoted(project)}"
        self._home = self._at
        self._login = login
        self._projects: dict[str, dict[str, Any]] = {}

    def use_fork(self, fork: str) -> None:
        """Lets the bot's branches go to this project, a path, from now on; "": to this one."""
        own = not fork or fork.lower() == self.repository().name.lower()
        self._home = self._at if own else f"/projects/{quoted(fork)}"

    def repository(self) -> Repository:
        found = self._project(self._at)
        return Repository(
            name=found["path_with_namespace"],
            default_branch=found.get("default_branch") or "",
            private=found.get("visibility") != "public",
            web_url=found["web_url"],
            clone_url=clone_url(found, self._api.secure),
        )

    def me(self) -> str:
        if not self._login:
            self._login = str(self._api.get("ask who the token is", "/user")["username"])
        return self._login

    def identity(self) -> str:
        user = self._api.get("ask who the token is", "/user")
        name, address = user["username"], user.get("commit_email") or user.get("email")
        host = urlsplit(self.repository().web_url).hostname
        # GitLab's own form, for accounts that keep theirs to themselves.
        private = f"{user['id']}-{name}@users.noreply.{host}"
        return f"{user['name']} <{address or private}>"

    def may_write(self, actor: Actor) -> bool:
        what = f"ask for the role of {actor.login}"
        found = self._api.find(what, f"{self._at}/members/all/{actor.id}")
        return (
            found is not None
            and found.get("username") == actor.login
            and found.get("state") == "active"
            and int(found.get("access_level") or 0) >= DEVELOPER
        )

    def file(self, path: str, commit: str) -> bytes | None:
        what = f"read {path} at {commit[:12]}"
        place = f"{self._at}/repository/files/{quoted(path)}"
        found = self._api.find(what, place, {"ref": commit}, missing=("File Not Found",))
        if found is None:
            return None
        try:
            return base64.b64decode(found["content"], validate=True)
        except (binascii.Error, KeyError) as problem:
            raise ForgeError(f"GitLab gave no file when asked to {what}: {problem}") from None

    def head_of(self, branch: str) -> str | None:
        return self._head(self._home, branch)

    def head_message(self, branch: str) -> str:
        what, at = f"look at {branch}", f"{self._home}/repository/branches/{quoted(branch)}"
        return str(self._api.get(what, at)["commit"]["message"])

    def base_commit(self, branch: str) -> str:
        commit = self._head(self._at, branch)
        if commit is None:
            raise ForgeError(f"There is no branch {branch} in the project.", status=404)
        return commit

    def contains(self, branch: str, commit: str) -> bool:
        return gitlab_commit.contains(self._api, self._at, self.base_commit(branch), commit)

    def doubt(self, trigger: Trigger, label: str, still: bool = True) -> str:
        """What GitLab knows otherwise than a webhook's payload said, empty where it agrees; see
        gitlab_confirm."""
        return gitlab_confirm.doubt(self._api, self._at, trigger, label, still)

    def acknowledge(self, trigger: Trigger) -> None:
        if trigger.target is None or trigger.place is None:
            return
        at = self._place(trigger.place)
        if trigger.target in ("comment", "review comment"):
            at += f"/notes/{trigger.target_id}"
        try:
            self._api.post("react", f"{at}/award_emoji", {"name": REACTION})
        except ForgeError as problem:
            if problem.status != 404 or "Award Emoji" not in problem.message:
                raise

    def my_comments(self, place: Place) -> Sequence[Comment]:
        return [comment_of(note, place) for note in self._own_notes(place)]

    def my_recent_comments(self, since: datetime) -> Sequence[Comment]:
        after = (since - OLDEST_COMMENT).date().isoformat()
        query = {"action": "commented", "after": after, "sort": "asc"}
        what = "read the bot's latest comments"
        events = self._api.list(what, f"/users/{quoted(self.me())}/events", query)
        project = self._project(self._at)["id"]
        notes = [event.get("note") for event in events if event.get("project_id") == project]
        found = [
            comment_of(note, Place(note["noteable_iid"], note["noteable_type"] == "MergeRequest"))
            for note in notes
            if note and note.get("noteable_type") in ("Issue", "MergeRequest")
        ]
        return [comment for comment in found if comment.updated_at >= since]

    def add_comment(self, place: Place, body: str) -> Comment:
        at = f"{self._place(place)}/notes"

        def made() -> dict[str, Any] | None:
            same = [note for note in self._own_notes(place) if note["body"] == body]
            return same[-1] if same else None

        return comment_of(self._api.create("comment", at, {"body": body}, made), place)

    def edit_comment(self, comment: Comment, body: str) -> None:
        self._api.put("edit the comment", self._note(comment), {"body": body})

    def delete_comment(self, comment: Comment) -> None:
        self._api.delete("delete the comment", self._note(comment))

    def issue(self, place: Place) -> Issue:
        what = f"read #{place.number}"
        found = self._api.get(what, self._place(place))
        # Asked for after the words: whoever changes them in between is found out.
        id = f"gid://gitlab/WorkItem/{found['id']}"
        item = self._api.query(what, _EDITED, {"id": id})["workItem"]
        if item is None:
            raise ForgeError(
                f"GitLab does not say when #{place.number} was edited, so its text is not used.",
                "The token needs the scope read_api or api; ask with a comment otherwise.",
                status=404,
            )
        return issue_of(found, item)

    def pull(self, number: int) -> Pull:
        found = self._api.get(f"read !{number}", f"{self._at}/merge_requests/{number}")
        return self._pull(found)

    def open_pulls(self, prefix: str) -> Sequence[Pull]:
        query = {"state": "opened", "scope": "all", "author_username": self.me()}
        what = "read the open merge requests"
        found = self._api.list(what, f"{self._at}/merge_requests", query)
        home = self._project(self._home)["id"]
        return [
            self._pull(each)
            for each in found
            if each["source_branch"].startswith(prefix) and each["source_project_id"] == home
        ]

    def commit(
        self, branch: str, parent: str, message: str, patch: Patch, expected: str | None
    ) -> str:
        """See Forge. GitLab stores no symbolic links through its API. A branch that moves between
        the look at it and the commit, some milliseconds later, is found out by GitLab where the
        branch is new, and told afterwards where the commit goes on top of `expected`; only a
        rewrite (`expected` is not `parent`) replaces what was pushed in between."""
        return gitlab_commit.commit(
            self._api, self._home, self._at, branch, parent, message, patch, expected
        )

    def delete_branch(self, branch: str, expected: str) -> None:
        if self.head_of(branch) == expected:
            at = f"{self._home}/repository/branches/{quoted(branch)}"
            self._api.delete(f"delete {branch}", at)

    def open_pull(self, new: NewPull) -> Pull:
        data: dict[str, Any] = {
            "source_branch": new.branch,
            "target_branch": new.base_branch,
            "title": titled(new.title, new.draft),
            "description": new.body,
            "remove_source_branch": True,
        }
        if self._home != self._at:
            data["target_project_id"] = self._project(self._at)["id"]
            data["allow_collaboration"] = True
        # A second one for the same branches is refused, so asking again opens none.
        what = f"open a merge request for {new.branch}"
        try:
            made = self._api.post(what, f"{self._home}/merge_requests", data)
        except ForgeError as problem:
            if problem.status != 409:
                raise
            there = [each for each in self.open_pulls(new.branch) if is_same(each, new)]
            if not there:
                raise
            return there[0]
        return self._pull(made)

    def update_pull(self, number: int, title: str, body: str) -> Pull:
        draft = self.pull(number).draft
        data = {"title": titled(title, draft), "description": body}
        what, at = f"update !{number}", f"{self._at}/merge_requests/{number}"
        return self._pull(self._api.put(what, at, data))

    def add_labels(self, place: Place, labels: Sequence[str]) -> None:
        if labels:
            self._api.put("label", self._place(place), {"add_labels": ",".join(labels)})

    def request_reviews(self, number: int, users: Sequence[str], teams: Sequence[str]) -> None:
        """Asks `users` besides those asked already. GitLab asks no groups, so `teams` are left to
        its own rules of code owners; nor whom it does not know."""
        asked = [each["id"] for each in self._reviewers(number)]
        wanted = [found for name in users if (found := self._user_id(name)) is not None]
        if new := [each for each in wanted if each not in asked]:
            at = f"{self._at}/merge_requests/{number}"
            self._api.put("ask for reviews", at, {"reviewer_ids": [*asked, *new]})

    def failed_jobs(self, build: Build) -> Sequence[FailedJob]:
        return gitlab_build.failed_jobs(self._api, self._at, build)

    def remarks(self, trigger: Trigger) -> Sequence[Remark]:
        """See Forge. A note edited since the trigger was sent is left out."""
        note = trigger.review or trigger.target_id
        if trigger.place is None or not trigger.place.pull or not note:
            return ()
        at = f"{self._place(trigger.place)}/discussions"
        discussions = self._api.list("read the review", at)
        sent = datetime.fromisoformat(trigger.at)
        return [
            remark_of(each)
            for discussion in discussions
            if any(each["id"] == note for each in discussion["notes"])
            for each in discussion["notes"]
            if not each["system"] and each["author"]["id"] == trigger.actor.id
            # Webhooks tell times in whole seconds.
            if moment(each["updated_at"]).replace(microsecond=0) <= sent
        ]

    def recent_messages(self, branch: str) -> Sequence[str]:
        query = {"ref_name": branch}
        what, at = f"read the last commits of {branch}", f"{self._at}/repository/commits"
        commits = self._api.list(what, at, query, most=2 * MESSAGES)
        return [each["message"] for each in commits if len(each["parent_ids"]) < 2][:MESSAGES]

    def new_pull_url(self, new: NewPull) -> str:
        head, base = self._project(self._home), self._project(self._at)
        values = {
            "source_project_id": head["id"],
            "source_branch": new.branch,
            "target_project_id": base["id"],
            "target_branch": new.base_branch,
            "title": titled(new.title, new.draft),
            "description": shortened(new.body),
        }
        query = urlencode({f"merge_request[{name}]": value for name, value in values.items()})
        return f"{head['web_url']}/-/merge_requests/new?{query}"

    def issue_url(self, place: Place) -> str:
        kind = "merge_requests" if place.pull else "issues"
        return f"{self._project(self._at)['web_url']}/-/{kind}/{place.number}"

    def _project(self, at: str) -> dict[str, Any]:
        if at not in self._projects:
            self._projects[at] = self._api.get("read the project", at)
        return self._projects[at]

    def _head(self, project: str, branch: str) -> str | None:
        what, at = f"look at {branch}", f"{project}/repository/branches/{quoted(branch)}"
        found = self._api.find(what, at, missing=("Branch Not Found",))
        return None if found is None else str(found["commit"]["id"])

    def _own_notes(self, place: Place) -> Sequence[dict[str, Any]]:
        query = {"sort": "asc", "order_by": "created_at"}
        notes = self._api.list("read the comments", f"{self._place(place)}/notes", query)
        me = self.me()
        own = [note for note in notes if not note["system"] and note["author"]["username"] == me]
        return sorted(own, key=lambda note: int(note["id"]))

    def _place(self, place: Place) -> str:
        return f"{self._at}/{'merge_requests' if place.pull else 'issues'}/{place.number}"

    def _note(self, comment: Comment) -> str:
        return f"{self._place(comment.place)}/notes/{comment.id}"

    def _reviewers(self, number: int) -> Sequence[dict[str, Any]]:
        found = self._api.get(f"read !{number}", f"{self._at}/merge_requests/{number}")
        return found.get("reviewers") or ()

    def _user_id(self, name: str) -> int | None:
        found = self._api.list(f"look for {name}", "/users", {"username": name})
        return next((int(user["id"]) for user in found), None)

    def _pull(self, found: Mapping[str, Any]) -> Pull:
        source = found.get("source_project_id")
        fork = source != found["target_project_id"]
        title = str(found["title"])
        return Pull(
            number=found["iid"],
            url=found["web_url"],
            state=_STATES.get(found["state"], "closed"),
            title=title.removeprefix(DRAFT),
            body=found.get("description") or "",
            author=found["author"]["username"],
            branch=found["source_branch"],
            commit=found.get("sha") or "",
            base_branch=found["target_branch"],
            fork=fork,
            clone_url=self._clone_url(source if fork else None),
            draft=bool(found.get("draft")),
        )

    def _clone_url(self, fork: int | None) -> str:
        """Where the commits of a merge request are: in its fork, or, where that is gone or not to
        be seen, in the project itself, which keeps them too."""
        own = clone_url(self._project(self._at), self._api.secure)
        if fork is None:
            return own
        at = f"/projects/{fork}"
        if at not in self._projects:
            found = self._api.find("read the fork", at, missing=("Project Not Found",))
            self._projects[at] = found or {"http_url_to_repo": own}
        return clone_url(self._projects[at], self._api.secure)


def connect(
    variables: Mapping[str, str], login: str = "", say: Callable[[str], None] = lambda text: None
) -> GitLab:
    """The project of a job, as GitLab's variables name it, with the token in GITLAB_TOKEN. `say` is
    told of pauses. Raises SetupError where a variable or python-gitlab is missing."""
    token, project = variables.get(VARIABLE, ""), variables.get("CI_PROJECT_ID", "")
    if not token:
        raise SetupError(
            f"{VARIABLE} is not set: the token that speaks to GitLab.",
            "Add it at Settings > CI/CD > Variables, protected, masked, and of the job's own "
            "environment; docs/ci-gitlab.md shows how. A protected one reaches protected branches "
            "only.",
        )
    if not project:
        raise SetupError(
            "CI_PROJECT_ID is not set: the project to work for.", "GitLab sets it in each job."
        )
    return GitLab(Api(base_url(variables), token, say=say), project, login)
