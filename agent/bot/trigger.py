"""What set the bot off: who asked, for what, by which words, as the event itself said it.

A trigger is read from the event alone, so that every job of one run reads the same one, and nothing
that somebody edits later changes it.
"""

from dataclasses import dataclass
from typing import Literal

#: The branches of the bot's own pull requests begin so; those that mend a build, so.
BRANCHES = "greenroom/"
BUILD_BRANCHES = f"{BRANCHES}build-"

#: What is asked for: a first attempt, another one, or that work on it ends.
Action = Literal["fix", "retry", "stop"]
Source = Literal["label", "comment", "build", "review", "dispatch"]
#: What a reaction can be put on.
Target = Literal["issue", "pull", "comment", "review comment"]


@dataclass(frozen=True)
class Actor:
    """An account of a forge. `bot` is whether the forge says that it is no person's."""

    login: str
    id: int
    bot: bool = False


@dataclass(frozen=True)
class Place:
    """An issue or a pull (merge) request, by its number in the repository."""

    number: int
    pull: bool = False


@dataclass(frozen=True)
class Build:
    """A run of the repository's checks that failed; `fork` is whether another repository's code
    was checked."""

    id: int
    name: str
    url: str
    commit: str
    branch: str
    fork: bool


@dataclass(frozen=True)
class Trigger:
    """One request to the bot.

    `key` is the same for each delivery of one event, and another for any other event. `actor` is
    who asked, whose permission decides. `title` and `text` are what is to be solved, as it stood
    then, and `author` who wrote it, a stranger perhaps; `guidance` is the actor's own words.
    `place` is None for a build on a branch, and for a dispatch without an issue. `at` is when, in
    ISO 8601. `target` and `target_id` are what the answering reaction goes on: an issue's or a pull
    request's number, a comment's id. `review` is the id of the review whose remarks are the
    request. A dispatch names an issue without its words; see `steps`.
    """

    key: str
    action: Action
    source: Source
    actor: Actor
    at: str
    place: Place | None = None
    title: str = ""
    text: str = ""
    author: Actor | None = None
    guidance: str = ""
    build: Build | None = None
    target: Target | None = None
    target_id: int = 0
    review: int = 0


@dataclass(frozen=True)
class NotForUs:
    """An event that asks for nothing, and why, for the log: not an error."""

    reason: str
