"""What GitLab's answers say, in the words that all forges share, and the other way round."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.bot.exchange import quoted
from agent.bot.forge import Comment, Issue, NewPull, Pull, Remark
from agent.bot.trigger import Actor, Place

DRAFT = "Draft: "
#: Characters of an address that servers take, with room for the rest of it.
LONGEST_BODY = 6000


def is_same(pull: Pull, new: NewPull) -> bool:
    """Whether a merge request is the very one to open: another delivery's, or of an answer that
    was lost."""
    places = (pull.branch, pull.base_branch) == (new.branch, new.base_branch)
    return places and (pull.title, pull.body) == (new.title, new.body)


def titled(title: str, draft: bool) -> str:
    """A title that makes a merge request a draft, or none."""
    plain = title.removeprefix(DRAFT)
    return DRAFT + plain if draft else plain


def shortened(body: str) -> str:
    """As much of a text, to whole lines, as fits into an address."""
    room, kept = LONGEST_BODY, []
    for line in body.splitlines(keepends=True):
        room -= len(quoted(line))
        if room < 0:
            break
        kept.append(line)
    return "".join(kept)


def clone_url(project: Mapping[str, Any], secure: bool) -> str:
    """Where a project is fetched from. A server behind a proxy may take itself for one without TLS;
    where its API is `secure` no token is to go there in the clear."""
    found = str(project["http_url_to_repo"])
    return f"https:{found[5:]}" if secure and found.lower().startswith("http:") else found


def moment(text: str) -> datetime:
    """A time as GitLab writes it."""
    return datetime.fromisoformat(text)


def comment_of(note: Mapping[str, Any], place: Place) -> Comment:
    """A note at a place."""
    author = note["author"]["username"]
    return Comment(note["id"], place, author, note["body"], moment(note["updated_at"]))


def issue_of(data: Mapping[str, Any], item: Mapping[str, Any]) -> Issue:
    """An issue, of which GraphQL's `item` tells when its title or text were changed."""
    author = data["author"]
    edits = [each["lastEditedAt"] for each in item["widgets"] if each.get("lastEditedAt")]
    return Issue(
        title=data["title"],
        text=data.get("description") or "",
        author=Actor(author["username"], author["id"]),
        edited_at=moment(edits[0]) if edits else None,
        confidential=bool(data.get("confidential")),
    )


def remark_of(note: Mapping[str, Any]) -> Remark:
    """A note of a discussion, with the line it stands at."""
    position = note.get("position") or {}
    path = position.get("new_path") or position.get("old_path") or ""
    return Remark(path, position.get("new_line") or position.get("old_line"), note["body"])
