"""GitHub's data made into the bot's own."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from agent.bot.forge import Comment, Issue, Pull, Remark
from agent.bot.trigger import Actor, Place

GHOST = "ghost"


def read_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def written(at: datetime) -> str:
    """A time, aware of its zone, as GitHub reads it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def comment(data: Mapping[str, Any]) -> Comment:
    """A comment of an issue or pull request; where it stands is in its addresses only."""
    number = int(data["issue_url"].rpartition("/")[2])
    place = Place(number, pull=f"/pull/{number}#" in data["html_url"])
    time = read_time(data["updated_at"])
    return Comment(data["id"], place, _login(data), data["body"] or "", time)


def issue(data: Mapping[str, Any]) -> Issue:
    """An issue as GraphQL tells it."""
    changes = [data["lastEditedAt"]]
    changes += [each["createdAt"] for each in data["timelineItems"]["nodes"]]
    writer = data["author"]
    author = None
    if writer:
        bot = writer["__typename"] == "Bot"
        author = Actor(writer["login"], writer.get("databaseId") or 0, bot)
    edited_at = max((read_time(each) for each in changes if each), default=None)
    return Issue(data["title"], data["body"], author, edited_at)


def pull(data: Mapping[str, Any]) -> Pull:
    """A pull request. Where its branch's repository is gone, its commits are still in the
    repository itself."""
    head, base = data["head"]["repo"], data["base"]["repo"]
    state: Literal["open", "closed", "merged"] = "open" if data["state"] == "open" else "closed"
    return Pull(
        number=data["number"],
        url=data["html_url"],
        state="merged" if data.get("merged_at") else state,
        title=data["title"],
        body=data["body"] or "",
        author=_login(data),
        branch=data["head"]["ref"],
        commit=data["head"]["sha"],
        base_branch=data["base"]["ref"],
        fork=head is None or head["id"] != base["id"],
        clone_url=(head or base)["clone_url"],
        draft=bool(data.get("draft")),
    )


def remark(data: Mapping[str, Any]) -> Remark:
    line = data.get("line") or data.get("original_line")
    return Remark(data["path"], line, data["body"] or "")


def _login(data: Mapping[str, Any]) -> str:
    """Who wrote it; accounts that are gone have no login any more."""
    return str((data.get("user") or {}).get("login") or GHOST)
