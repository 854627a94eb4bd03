"""GitHub, on github.com or an Enterprise server, as the bot's forge."""

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from agent.bot import github_build, github_commit, github_data
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
from agent.bot.github_api import Api
from agent.bot.trigger import Actor, Build, Place, Trigger
from sandbox.errors import SetupError
from sandbox.patch import Patch

VARIABLE = "GITHUB_TOKEN"
REACTION = "eyes"
#: What the permission API answers for those who push; it gives the role "maintain", and any role of
#: an organisation's own, as the one of these that it builds upon, and "triage" as "read".
WRITERS = ("admin", "write")
#: GitHub sets the time of a review's remarks a moment after that of the review.
SENDING = timedelta(seconds=5)
#: Characters of an address that GitHub takes, with room for the rest of it.
LONGEST_BODY = 6000
MESSAGES = 20
_NOT_PERMITTED = "not permitted to create"


class GitHub:
    """A repository on GitHub, by its full name OWNER/NAME, with the rights of one token.

    `server` is the address of its pages. `login` is whom the bot's comments are from where that is
    not the token's own account.
    """

    name: Literal["github", "gitlab"] = "github"

    def __init__(self, api: Api, repository: str, server: str, login: str = "") -> None:
        self._api = api
        self._name = repository
        self._fork = ""
        self._server = server
        self._login = login

    @property
    def _at(self) -> str:
        return f"/repos/{self._name}"

    @property
    def _home(self) -> str:
        return f"/repos/{self._fork or self._name}"

    def use_fork(self, fork: str) -> None:
        self._fork = "" if fork.lower() == self._name.lower() else fork

    def repository(self) -> Repository:
        found = self._api.get("read the repository", self._at)
        return Repository(
            name=found["full_name"],
            default_branch=found["default_branch"],
            private=bool(found["private"]) or found.get("visibility", "public") == "internal",
            web_url=found["html_url"],
            clone_url=found["clone_url"],
        )

    def me(self) -> str:
        if not self._login:
            self._login = self._api.viewer()
        return self._login

    def identity(self) -> str:
        login = self.me()
        found = self._api.get("read the bot's account", f"/users/{quoted(login)}")
        host = urlsplit(self._server).hostname
        return f"{login} <{found['id']}+{login}@users.noreply.{host}>"

    def may_write(self, actor: Actor) -> bool:
        """See Forge. The account's id has to be the actor's: a login can pass to somebody else."""
        what = f"ask for the permission of {actor.login}"
        found = self._api.find(what, f"{self._at}/collaborators/{quoted(actor.login)}/permission")
        if found is None or (found.get("user") or {}).get("id") != actor.id:
            return False
        return found["permission"] in WRITERS

    def file(self, path: str, commit: str) -> bytes | None:
        what = f"read {path} at {commit[:12]}"
        found = self._api.find(what, f"{self._at}/contents/{quoted(path)}", {"ref": commit})
        if not isinstance(found, dict) or found.get("type") != "file":
            return None
        if found.get("encoding") != "base64":  # it is a large one
            found = self._api.get(what, f"{self._at}/git/blobs/{found['sha']}")
        return base64.b64decode(found["content"])

    def head_of(self, branch: str) -> str | None:
        return github_commit.head_of(self._api, self._home, branch)

    def head_message(self, branch: str) -> str:
        what = f"read the last commit of {branch}"
        commit = github_commit.head_of(self._api, self._home, branch)
        return str(self._api.get(what, f"{self._home}/git/commits/{commit}")["message"])

    def base_commit(self, branch: str) -> str:
        commit = github_commit.head_of(self._api, self._at, branch)
        if commit is None:
            raise ForgeError(
                f"There is no branch {branch} in {self._name}, or the token may not see it.",
                "A private repository is read with the permission contents: read.",
                status=404,
            )
        return commit

    def contains(self, branch: str, commit: str) -> bool:
        return github_commit.contains(self._api, self._at, self.base_commit(branch), commit)

    def acknowledge(self, trigger: Trigger) -> None:
        paths = {
            "comment": f"/issues/comments/{trigger.target_id}",
            "review comment": f"/pulls/comments/{trigger.target_id}",
            "issue": f"/issues/{trigger.target_id}",
            "pull": f"/issues/{trigger.target_id}",
        }
        if trigger.target is not None:
            at = f"{self._at}{paths[trigger.target]}/reactions"
            self._api.write("react", "POST", at, {"content": REACTION})

    def my_comments(self, place: Place) -> Sequence[Comment]:
        found = self._api.list("read the comments", self._comments(place))
        return self._mine(found)

    def my_recent_comments(self, since: datetime) -> Sequence[Comment]:
        query = {"since": github_data.written(since), "sort": "updated", "direction": "asc"}
        what = "read the latest comments"
        return self._mine(self._api.list(what, f"{self._at}/issues/comments", query))

    def _mine(self, found: Sequence[Mapping[str, Any]]) -> Sequence[Comment]:
        me = self.me()
        comments = [github_data.comment(each) for each in found if each["user"]]
        own = [comment for comment in comments if comment.author == me]
        return sorted(own, key=lambda comment: comment.id)

    def add_comment(self, place: Place, body: str) -> Comment:
        what = f"comment on #{place.number}"

        def made() -> Any | None:
            found = self._api.list(what, self._comments(place))
            same = [each for each in found if (each["user"] or {}).get("login") == self.me()]
            return next((each for each in reversed(same) if _alike(each["body"], body)), None)

        found = self._api.create(what, self._comments(place), {"body": body}, made)
        return github_data.comment(found)

    def edit_comment(self, comment: Comment, body: str) -> None:
        at = f"{self._at}/issues/comments/{comment.id}"
        self._api.write("edit the comment", "PATCH", at, {"body": body})

    def delete_comment(self, comment: Comment) -> None:
        self._delete("delete the comment", f"{self._at}/issues/comments/{comment.id}", (404,))

    def issue(self, place: Place) -> Issue:
        return github_data.issue(self._api.issue(self._name, place.number))

    def pull(self, number: int) -> Pull:
        found = self._api.get(f"read #{number}", f"{self._at}/pulls/{number}")
        return github_data.pull(found)

    def open_pulls(self, prefix: str) -> Sequence[Pull]:
        found = self._api.list(
            "read the open pull requests", f"{self._at}/pulls", {"state": "open"}
        )
        home, me = (self._fork or self._name).lower(), self.me()
        return [
            github_data.pull(each)
            for each in found
            if each["head"]["ref"].startswith(prefix)
            and ((each["head"]["repo"] or {}).get("full_name") or "").lower() == home
            and (each["user"] or {}).get("login") == me
        ]

    def commit(
        self, branch: str, parent: str, message: str, patch: Patch, expected: str | None
    ) -> str:
        return github_commit.commit(self._api, self._home, branch, parent, message, patch, expected)

    def delete_branch(self, branch: str, expected: str) -> None:
        if self.head_of(branch) == expected:
            at = f"{self._home}/git/refs/{github_commit.ref(branch)}"
            self._delete(f"delete {branch}", at, (404, 422))

    def _delete(self, what: str, path: str, gone: Sequence[int]) -> None:
        try:
            self._api.write(what, "DELETE", path)
        except ForgeError as problem:
            if problem.status not in gone:
                raise

    def open_pull(self, new: NewPull) -> Pull:
        """See Forge. ForgeError has the status 409 where the branch has one that is open."""
        data: dict[str, Any] = {
            "title": new.title,
            "body": new.body,
            "head": self._head(new.branch),
            "base": new.base_branch,
            "draft": new.draft,
        }
        if self._fork:
            data |= {"head_repo": self._fork.partition("/")[2], "maintainer_can_modify": True}

        def made() -> Any | None:
            query = {"state": "open", "head": self._head(new.branch), "base": new.base_branch}
            found = self._api.list(f"look for {new.branch}", f"{self._at}/pulls", query)
            return found[0] if found else None

        what = f"open a pull request for {new.branch}"
        try:
            return github_data.pull(self._api.create(what, f"{self._at}/pulls", data, made))
        except ForgeError as problem:
            raise _explained(problem) from None

    def update_pull(self, number: int, title: str, body: str) -> Pull:
        data = {"title": title, "body": body}
        found = self._api.write(f"update #{number}", "PATCH", f"{self._at}/pulls/{number}", data)
        return github_data.pull(found)

    def add_labels(self, place: Place, labels: Sequence[str]) -> None:
        if labels:
            at = f"{self._at}/issues/{place.number}/labels"
            self._api.write("label", "POST", at, {"labels": list(labels)})

    def request_reviews(self, number: int, users: Sequence[str], teams: Sequence[str]) -> None:
        """See Forge. Where GitHub takes one of them only without another, each is asked alone; the
        error then names those that were not taken."""
        asked = [("reviewers", user) for user in users]
        asked += [("team_reviewers", team.rpartition("/")[2]) for team in teams]
        if not asked:
            return
        try:
            self._request(number, asked)
        except ForgeError as problem:
            if problem.status != 422 or len(asked) == 1:
                raise
        else:
            return
        refused = []
        for one in asked:
            try:
                self._request(number, [one])
            except ForgeError as problem:
                if problem.status != 422:
                    raise
                refused.append(one[1])
        if refused:
            names = ", ".join(refused)
            raise ForgeError(f"GitHub takes no request for a review of: {names}.", status=422)

    def _request(self, number: int, asked: Sequence[tuple[str, str]]) -> None:
        data: dict[str, list[str]] = {}
        for kind, name in asked:
            data.setdefault(kind, []).append(name)
        at = f"{self._at}/pulls/{number}/requested_reviewers"
        self._api.write("ask for reviews", "POST", at, data)

    def failed_jobs(self, build: Build) -> Sequence[FailedJob]:
        return github_build.failed_jobs(self._api, self._at, build)

    def remarks(self, trigger: Trigger) -> Sequence[Remark]:
        """See Forge. A remark edited since the review was sent is left out."""
        if trigger.place is None or not trigger.review:
            return ()
        at = f"{self._at}/pulls/{trigger.place.number}/reviews/{trigger.review}"
        review = self._api.get("read the review", at)
        if (review["user"] or {}).get("id") != trigger.actor.id:
            return ()
        latest = github_data.read_time(review["submitted_at"]) + SENDING
        return [
            github_data.remark(each)
            for each in self._api.list("read the review", f"{at}/comments")
            if (each["user"] or {}).get("id") == trigger.actor.id
            and github_data.read_time(each["updated_at"]) <= latest
        ]

    def recent_messages(self, branch: str) -> Sequence[str]:
        what = f"read the last commits of {branch}"
        query = {"sha": branch}
        found = self._api.list(what, f"{self._at}/commits", query, most=2 * MESSAGES)
        messages = [each["commit"]["message"] for each in found if len(each["parents"]) < 2]
        return messages[:MESSAGES]

    def new_pull_url(self, new: NewPull) -> str:
        owner, _, name = self._fork.partition("/")
        head = f"{owner}:{name}:{new.branch}" if self._fork else new.branch
        query = {"expand": 1, "title": new.title, "body": _short(new.body)}
        span = quote(f"{new.base_branch}...{head}", safe="/:")
        return f"{self._server}/{self._name}/compare/{span}?{urlencode(query)}"

    def issue_url(self, place: Place) -> str:
        kind = "pull" if place.pull else "issues"
        return f"{self._server}/{self._name}/{kind}/{place.number}"

    def _head(self, branch: str) -> str:
        return f"{(self._fork or self._name).partition('/')[0]}:{branch}"

    def _comments(self, place: Place) -> str:
        return f"{self._at}/issues/{place.number}/comments"


def connect(
    variables: Mapping[str, str],
    login: str = "",
    *,
    say: Callable[[str], None] = lambda text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> GitHub:
    """The repository of a job, as GitHub's variables name it, with the token in GITHUB_TOKEN.
    `say` is told of pauses. Raises SetupError where a variable or PyGithub is missing."""
    token, repository = variables.get(VARIABLE, ""), variables.get("GITHUB_REPOSITORY", "")
    if not token:
        raise SetupError(
            f"{VARIABLE} is not set: the token that speaks to GitHub.",
            "Give it to the step: env: GITHUB_TOKEN: ${{ github.token }}; see docs/ci.md.",
        )
    if repository.count("/") != 1:
        raise SetupError(
            "GITHUB_REPOSITORY is not OWNER/NAME: the repository to work for.",
            "GitHub sets it in each job.",
        )
    url = variables.get("GITHUB_API_URL", "").rstrip("/") or "https://api.github.com"
    server = variables.get("GITHUB_SERVER_URL", "").rstrip("/") or "https://github.com"
    return GitHub(Api(url, token, say=say, sleep=sleep), repository, server, login)


def _explained(problem: ForgeError) -> ForgeError:
    """Why GitHub opens no pull request, where it has reasons that a setting changes."""
    hint, status = problem.hint, problem.status
    if "already exists" in problem.message:
        status = 409
    elif _NOT_PERMITTED in problem.message:
        hint = (
            "Settings > Actions > General > Workflow permissions: allow GitHub Actions to create "
            "pull requests; or give the job a token of an App."
        )
    elif "Draft pull requests are not supported" in problem.message:
        hint = 'This repository has no drafts: set pull_request = "ready" in its [ci] table.'
    return ForgeError(problem.message, hint, status)


def _alike(stored: str | None, sent: str) -> bool:
    """Whether a stored text is the one sent: a forge may end its lines otherwise."""
    return (stored or "").split() == sent.split()


def _short(body: str) -> str:
    """As much of a text, to whole lines, as fits into an address."""
    room, kept = LONGEST_BODY, []
    for line in body.splitlines(keepends=True):
        room -= len(urlencode({"": line}))
        if room < 0:
            break
        kept.append(line)
    return "".join(kept)
