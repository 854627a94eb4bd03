"""What the fake GitLab's API shows of what the store remembers, with GitLab's names."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.fakes.forge.gitlabrights import LEVELS
from tests.fakes.forge.messages import Answer, Call
from tests.fakes.forge.store import Build, Comment, Issue, Job, Project, Pull, Token, User

if TYPE_CHECKING:
    from tests.fakes.forge.gitlab import FakeGitLab

DRAFT = "Draft: "


def time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def page(forge: "FakeGitLab", call: Call, entries: Sequence[Any]) -> Answer:
    """One page of a list, with a link to the next."""
    size, number = int(call.query.get("per_page", 20)), int(call.query.get("page", 1))
    shown = list(entries[(number - 1) * size : number * size])
    headers = {"X-Per-Page": str(size), "X-Page": str(number), "X-Total": str(len(entries))}
    if number * size < len(entries):
        query = urlencode({**call.query, "page": number + 1})
        headers["Link"] = f'<{forge.outside_url}{call.path}?{query}>; rel="next"'
    return Answer(200, shown, headers)


def user(found: User) -> dict[str, Any]:
    return {"id": found.id, "username": found.login, "name": found.login, "state": "active"}


def me(forge: "FakeGitLab", token: Token) -> dict[str, Any]:
    address = forge.addresses.get(token.user.login)
    return {**user(token.user), "bot": token.user.bot, "commit_email": address}


def member(found: User, project: Project) -> dict[str, Any]:
    return {**user(found), "access_level": LEVELS[project.roles[found.login]]}


def project(forge: "FakeGitLab", found: Project) -> dict[str, Any]:
    return {
        "id": found.id,
        "path_with_namespace": found.name,
        "default_branch": found.default_branch,
        "visibility": "private" if found.private else "public",
        "web_url": f"{forge.url}/{found.name}",
        "http_url_to_repo": f"{forge.url}/{found.name}.git",
    }


def note(forge: "FakeGitLab", found: Project, comment: Comment) -> dict[str, Any]:
    position = {"new_path": comment.path, "new_line": comment.line, "old_path": comment.path}
    return {
        "id": comment.id,
        "type": "DiffNote" if comment.path else None,
        "body": comment.body,
        "author": user(forge.store.users[comment.author]),
        "created_at": time(comment.created_at),
        "updated_at": time(comment.updated_at),
        "system": comment.system,
        "noteable_type": "MergeRequest" if comment.pull else "Issue",
        "noteable_iid": comment.number,
        "project_id": found.id,
        **({"position": position} if comment.path else {}),
    }


def event(forge: "FakeGitLab", found: Project, comment: Comment) -> dict[str, Any]:
    return {
        "project_id": found.id,
        "action_name": "commented on",
        "target_type": "DiffNote" if comment.path else "Note",
        "target_id": comment.id,
        "created_at": time(comment.created_at),
        "author_username": comment.author,
        "note": note(forge, found, comment),
    }


def issue(forge: "FakeGitLab", found: Project, entry: Issue) -> dict[str, Any]:
    return {
        "id": entry.id,
        "iid": entry.number,
        "project_id": found.id,
        "title": entry.title,
        "description": entry.body,
        "state": "opened" if entry.state == "open" else entry.state,
        "author": user(forge.store.users[entry.author]),
        "labels": entry.labels,
        "confidential": entry.confidential,
        "created_at": time(entry.created_at),
        "updated_at": time(entry.updated_at),
        "web_url": f"{forge.url}/{found.name}/-/issues/{entry.number}",
    }


def description(entry: Issue) -> dict[str, Any]:
    """What GraphQL says of an issue's words; a new title counts as well."""
    changes = [at for at in (entry.edited_at, entry.renamed_at) if at]
    return {"lastEditedAt": time(max(changes)) if changes else None}


def merge_request(forge: "FakeGitLab", found: Project, pull: Pull) -> dict[str, Any]:
    source = forge.store.projects.get(pull.head)
    return {
        **issue(forge, found, pull),
        "web_url": f"{forge.url}/{found.name}/-/merge_requests/{pull.number}",
        "source_branch": pull.branch,
        "target_branch": pull.base_branch,
        "source_project_id": source.id if source else None,
        "target_project_id": found.id,
        "sha": pull.commit or None,
        "draft": pull.title.startswith(DRAFT),
        "reviewers": [user(forge.store.users[login]) for login in pull.reviewers],
    }


def pipeline(forge: "FakeGitLab", found: Project, build: Build) -> dict[str, Any]:
    return {
        "id": build.id,
        "project_id": found.id,
        "sha": build.commit,
        "ref": build.branch,
        "status": "failed" if build.conclusion == "failure" else build.conclusion,
        "source": build.event,
        "web_url": f"{forge.url}/{found.name}/-/pipelines/{build.id}",
    }


def job(forge: "FakeGitLab", found: Project, entry: Job) -> dict[str, Any]:
    """A job whose conclusion is "allowed failure" failed and may."""
    allowed = entry.conclusion == "allowed failure"
    return {
        "id": entry.id,
        "name": entry.name,
        "status": "failed" if allowed or entry.conclusion == "failure" else entry.conclusion,
        "allow_failure": allowed,
        "web_url": f"{forge.url}/{found.name}/-/jobs/{entry.id}",
    }


def branch(name: str, commit: str, parents: Sequence[str], message: str) -> dict[str, Any]:
    return {"name": name, "commit": {"id": commit, "parent_ids": parents, "message": message}}
