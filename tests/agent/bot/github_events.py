"""Payloads of GitHub's webhooks, cut to what has to do with the bot and some around it."""

from typing import Any

REPOSITORY = {"id": 1296269, "full_name": "octo/app", "default_branch": "main", "private": False}


def user(login: str, number: int, kind: str = "User") -> dict[str, Any]:
    return {"login": login, "id": number, "node_id": "MDQ6VXNlcjE=", "type": kind}


OWNER = user("owner", 1)
STRANGER = user("stranger", 2)


def issue(**changes: Any) -> dict[str, Any]:
    return {
        "id": 73464126,
        "number": 12,
        "title": "It fails",
        "body": "On Mondays.",
        "user": STRANGER,
        "labels": [{"id": 208045946, "name": "greenroom"}],
        "state": "open",
        "author_association": "NONE",
        "created_at": "2026-11-27T09:00:00Z",
        "updated_at": "2026-11-27T10:00:00Z",
        **changes,
    }


def labelled(**changes: Any) -> dict[str, Any]:
    return {
        "action": "labeled",
        "issue": issue(),
        "label": {"id": 208045946, "name": "greenroom", "color": "fff", "default": False},
        "repository": REPOSITORY,
        "sender": OWNER,
        **changes,
    }


def commented(body: str = "/greenroom fix", **changes: Any) -> dict[str, Any]:
    return {
        "action": "created",
        "issue": issue(),
        "comment": {
            "id": 998,
            "body": body,
            "user": OWNER,
            "author_association": "CONTRIBUTOR",
            "created_at": "2026-11-27T10:05:00Z",
            "updated_at": "2026-11-27T10:05:00Z",
        },
        "repository": REPOSITORY,
        "sender": OWNER,
        **changes,
    }


def pull(**changes: Any) -> dict[str, Any]:
    return {
        "number": 13,
        "title": "Mend Mondays",
        "body": "Closes it.",
        "state": "open",
        "user": user("greenroom[bot]", 3, "Bot"),
        "head": {"ref": "greenroom/12-it-fails", "sha": "a1" * 20, "repo": REPOSITORY},
        "base": {"ref": "main", "sha": "b2" * 20, "repo": REPOSITORY},
        **changes,
    }


def reviewed(**changes: Any) -> dict[str, Any]:
    return {
        "action": "submitted",
        "review": {
            "id": 80,
            "user": OWNER,
            "body": "Name it better.",
            "state": "changes_requested",
            "commit_id": "a1" * 20,
            "submitted_at": "2026-11-27T11:00:00Z",
        },
        "pull_request": pull(),
        "repository": REPOSITORY,
        "sender": OWNER,
        **changes,
    }


def completed(**changes: Any) -> dict[str, Any]:
    """A failed workflow run; `changes` are the run's."""
    return {
        "action": "completed",
        "workflow_run": {
            "id": 30433642,
            "name": "CI",
            "path": ".github/workflows/ci.yml",
            "head_branch": "main",
            "head_sha": "c3" * 20,
            "run_attempt": 2,
            "event": "push",
            "status": "completed",
            "conclusion": "failure",
            "html_url": "https://github.test/octo/app/actions/runs/30433642",
            "updated_at": "2026-11-27T12:00:00Z",
            "actor": OWNER,
            "triggering_actor": OWNER,
            "pull_requests": [],
            "head_repository": {"id": 1296269, "full_name": "octo/app"},
            **changes,
        },
        "workflow": {"id": 1, "name": "CI", "path": ".github/workflows/ci.yml"},
        "repository": REPOSITORY,
        "sender": OWNER,
    }


def dispatched(**inputs: Any) -> dict[str, Any]:
    return {
        "inputs": inputs or None,
        "ref": "refs/heads/main",
        "repository": REPOSITORY,
        "sender": OWNER,
        "workflow": ".github/workflows/greenroom.yml",
    }
