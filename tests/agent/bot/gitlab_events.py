"""Payloads of GitLab's webhooks, cut to what has to do with the bot and some around it."""

from typing import Any

PROJECT = {
    "id": 5,
    "name": "App",
    "path_with_namespace": "team/app",
    "default_branch": "main",
    "web_url": "https://gitlab.test/team/app",
}
DEV = {"id": 12, "name": "Dev", "username": "dev", "email": "[REDACTED]"}
BUG = {"id": 1, "title": "bug", "type": "ProjectLabel"}
OURS = {"id": 2, "title": "greenroom", "type": "ProjectLabel"}


def noted(note: str = "/greenroom fix", kind: str = "Issue", **changes: Any) -> dict[str, Any]:
    """A new comment on an issue or a merge request; `changes` are the comment's."""
    subject = {"iid": 17, "title": "It fails", "description": "On Mondays.", "author_id": 3}
    event: dict[str, Any] = {
        "object_kind": "note",
        "event_type": "note",
        "user": DEV,
        "project_id": 5,
        "project": PROJECT,
        "object_attributes": {
            "id": 1241,
            "note": note,
            "noteable_type": kind,
            "author_id": 12,
            "action": "create",
            "system": False,
            "internal": False,
            "type": None,
            "created_at": "2026-11-27 10:00:00 UTC",
            "updated_at": "2026-11-27 10:00:00 UTC",
            **changes,
        },
    }
    if kind == "Issue":
        event["issue"] = {**subject, "confidential": False}
    elif kind == "MergeRequest":
        event["merge_request"] = {
            **subject,
            "state": "opened",
            "source_branch": "greenroom/17-it-fails",
            "source_project_id": 5,
            "target_branch": "main",
            "target_project_id": 5,
        }
    return event


def labelled(**changes: Any) -> dict[str, Any]:
    """A label added to an issue; `changes` are the event's."""
    return {
        "object_kind": "issue",
        "event_type": "issue",
        "user": DEV,
        "project": PROJECT,
        "object_attributes": {
            "id": 301,
            "iid": 17,
            "title": "It fails",
            "description": "On Mondays.",
            "author_id": 3,
            "action": "update",
            "confidential": False,
            "created_at": "2026-11-27 09:00:00 UTC",
            "updated_at": "2026-11-27 10:00:00 UTC",
        },
        "labels": [BUG, OURS],
        "changes": {"labels": {"previous": [BUG], "current": [BUG, OURS]}},
        **changes,
    }


def failed(merge_request: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A failed pipeline; `changes` are the pipeline's."""
    return {
        "object_kind": "pipeline",
        "object_attributes": {
            "id": 31,
            "iid": 3,
            "name": None,
            "ref": "main",
            "tag": False,
            "sha": "c3" * 20,
            "source": "push",
            "status": "failed",
            "created_at": "2026-11-27 11:00:00 UTC",
            "finished_at": "2026-11-27 11:30:00 UTC",
            "variables": [],
            **changes,
        },
        "merge_request": merge_request,
        "user": DEV,
        "project": PROJECT,
        "builds": [],
    }


def merge_request(source: int = 5) -> dict[str, Any]:
    return {
        "id": 1,
        "iid": 18,
        "title": "Topic",
        "source_branch": "topic",
        "source_project_id": source,
        "target_branch": "main",
        "target_project_id": 5,
        "state": "opened",
    }


BY_HAND = {
    "CI_PIPELINE_ID": "77",
    "CI_PIPELINE_SOURCE": "web",
    "CI_PIPELINE_CREATED_AT": "2026-11-27T10:00:00Z",
    "GITLAB_USER_LOGIN": "dev",
    "GITLAB_USER_ID": "12",
    "GREENROOM_ISSUE": "17",
}
