"""What the fake GitHub's answers look like: the fields that clients read, in GitHub's shapes."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.fakes.forge.messages import Answer, Call
from tests.fakes.forge.store import (
    Build,
    Comment,
    Issue,
    Job,
    Project,
    Pull,
    Reaction,
    Review,
    User,
)

if TYPE_CHECKING:
    from tests.fakes.forge.github import FakeGitHub

PER_PAGE = 30


def error(status: int, message: str, **more: Any) -> dict[str, Any]:
    return {
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
        **more,
    }


def invalid(message: str) -> dict[str, Any]:
    """The body of a 422 whose reason stands in its list of errors."""
    return error(422, "Validation Failed", errors=[{"code": "custom", "message": message}])


def page(forge: "FakeGitHub", call: Call, items: list[Any], key: str = "") -> Answer:
    """One page of a list, with the links to others; `key` names the list in an object."""
    size = min(int(call.query.get("per_page", PER_PAGE)), 100)
    number = int(call.query.get("page", 1))
    shown = items[(number - 1) * size : number * size]
    headers = {}
    if number * size < len(items):
        more = urlencode({**call.query, "page": number + 1})
        headers["Link"] = f'<{forge.url}{call.path}?{more}>; rel="next"'
    body = {"total_count": len(items), key: shown} if key else shown
    return Answer(200, body, headers)


def instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def user(account: User) -> dict[str, Any]:
    return {
        "login": account.login,
        "id": account.id,
        "type": "Bot" if account.bot else "User",
        "site_admin": False,
    }


def repository(forge: "FakeGitHub", project: Project) -> dict[str, Any]:
    owner, _, name = project.name.partition("/")
    return {
        "id": project.id,
        "name": name,
        "full_name": project.name,
        "private": project.private,
        "visibility": "private" if project.private else "public",
        "owner": user(forge.store.user(owner)),
        "fork": bool(project.parent),
        "default_branch": project.default_branch,
        "html_url": f"{forge.url}/{project.name}",
        "clone_url": f"{forge.url}/{project.name}.git",
        "url": f"{forge.api_url}/repos/{project.name}",
    }


def issue(forge: "FakeGitHub", project: Project, entry: Issue) -> dict[str, Any]:
    kind = "pull" if isinstance(entry, Pull) else "issues"
    data = {
        "id": entry.id,
        "number": entry.number,
        "title": entry.title,
        "body": entry.body or None,
        "state": "open" if entry.state == "open" else "closed",
        "user": user(forge.store.user(entry.author)),
        "labels": [{"name": name} for name in entry.labels],
        "created_at": instant(entry.created_at),
        "updated_at": instant(entry.updated_at),
        "html_url": f"{forge.url}/{project.name}/{kind}/{entry.number}",
        "url": f"{forge.api_url}/repos/{project.name}/issues/{entry.number}",
    }
    if isinstance(entry, Pull):
        data["pull_request"] = {"html_url": data["html_url"]}
    return data


def edited_issue(author: User, entry: Issue) -> dict[str, Any]:
    """An issue as GraphQL shows it, where bots have their names without an ending."""
    renamed = [{"createdAt": instant(entry.renamed_at)}] if entry.renamed_at else []
    return {
        "title": entry.title,
        "body": entry.body,
        "lastEditedAt": instant(entry.edited_at) if entry.edited_at else None,
        "author": {
            "__typename": "Bot" if author.bot else "User",
            "login": author.login.removesuffix("[bot]"),
            "databaseId": author.id,
        },
        "timelineItems": {"nodes": renamed},
    }


def pull(forge: "FakeGitHub", project: Project, entry: Pull) -> dict[str, Any]:
    head = forge.store.projects.get(entry.head)
    data = issue(forge, project, entry)
    del data["pull_request"]
    merged = entry.state == "merged"
    base_commit = project.git.head(entry.base_branch)
    return {
        **data,
        "url": f"{forge.api_url}/repos/{project.name}/pulls/{entry.number}",
        "draft": entry.draft,
        "merged": merged,
        "merged_at": data["updated_at"] if merged else None,
        "requested_reviewers": [user(forge.store.user(name)) for name in entry.reviewers],
        "head": {
            "ref": entry.branch,
            "sha": entry.commit,
            "label": f"{entry.head.partition('/')[0]}:{entry.branch}",
            "repo": repository(forge, head) if head else None,
        },
        "base": {
            "ref": entry.base_branch,
            "sha": base_commit,
            "repo": repository(forge, project),
        },
    }


def comment(forge: "FakeGitHub", project: Project, entry: Comment) -> dict[str, Any]:
    """A comment of an issue or pull request, or on a changed line of one."""
    on_line = bool(entry.review)
    kind = "pulls" if on_line else "issues"
    page = "pull" if entry.pull else "issues"
    data = {
        "id": entry.id,
        "body": entry.body,
        "user": user(forge.store.user(entry.author)),
        "created_at": instant(entry.created_at),
        "updated_at": instant(entry.updated_at),
        "url": f"{forge.api_url}/repos/{project.name}/{kind}/comments/{entry.id}",
        "html_url": f"{forge.url}/{project.name}/{page}/{entry.number}#comment-{entry.id}",
    }
    if not on_line:
        data["issue_url"] = f"{forge.api_url}/repos/{project.name}/issues/{entry.number}"
        return data
    return {
        **data,
        "path": entry.path,
        "line": entry.line,
        "original_line": entry.line,
        "pull_request_review_id": entry.review,
    }


def review(forge: "FakeGitHub", entry: Review) -> dict[str, Any]:
    return {
        "id": entry.id,
        "user": user(forge.store.user(entry.author)),
        "body": entry.body,
        "state": entry.state,
        "commit_id": entry.commit,
        "submitted_at": instant(entry.submitted_at),
    }


def reaction(forge: "FakeGitHub", entry: Reaction) -> dict[str, Any]:
    author = user(forge.store.user(entry.author))
    return {"id": entry.id, "content": entry.content, "user": author}


def build(forge: "FakeGitHub", project: Project, entry: Build) -> dict[str, Any]:
    head = forge.store.projects.get(entry.head)
    return {
        "id": entry.id,
        "name": entry.name,
        "head_branch": entry.branch,
        "head_sha": entry.commit,
        "status": "completed",
        "conclusion": entry.conclusion,
        "event": entry.event,
        "html_url": f"{forge.url}/{project.name}/actions/runs/{entry.id}",
        "jobs_url": f"{forge.api_url}/repos/{project.name}/actions/runs/{entry.id}/jobs",
        "url": f"{forge.api_url}/repos/{project.name}/actions/runs/{entry.id}",
        "head_repository": repository(forge, head) if head else None,
        "repository": repository(forge, project),
    }


def job(forge: "FakeGitHub", project: Project, run: Build, entry: Job) -> dict[str, Any]:
    return {
        "id": entry.id,
        "run_id": run.id,
        "name": entry.name,
        "status": "completed",
        "conclusion": entry.conclusion,
        "head_sha": run.commit,
        "html_url": f"{forge.url}/{project.name}/actions/runs/{run.id}/job/{entry.id}",
        "url": f"{forge.api_url}/repos/{project.name}/actions/jobs/{entry.id}",
    }


def is_commit(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[0-9a-f]{40}", name) is not None
