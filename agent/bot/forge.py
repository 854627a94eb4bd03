"""What the bot asks of a forge, whichever it is: one protocol, plain data, one error."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from agent.bot.trigger import Actor, Build, Place, Trigger
from sandbox.errors import GreenroomError
from sandbox.patch import Patch


class ForgeError(GreenroomError):
    """A request that the forge refused, or did not answer, after the retries that make sense.

    `status` is the HTTP status, 0 where none came. Message and hint never hold a token.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


@dataclass(frozen=True)
class Repository:
    """`private` is whether strangers cannot read it; `clone_url` is without credentials."""

    name: str
    default_branch: str
    private: bool
    web_url: str
    clone_url: str


@dataclass(frozen=True)
class Comment:
    id: int
    place: Place
    author: str
    body: str
    updated_at: datetime


@dataclass(frozen=True)
class Pull:
    """A pull or merge request. `fork` is whether its branch is in another repository, whose
    `clone_url` it then has."""

    number: int
    url: str
    state: Literal["open", "closed", "merged"]
    title: str
    body: str
    author: str
    branch: str
    commit: str
    base_branch: str
    fork: bool
    clone_url: str
    draft: bool


@dataclass(frozen=True)
class NewPull:
    """A pull request to open; `branch` lies in the bot's fork where it works from one."""

    title: str
    body: str
    branch: str
    base_branch: str
    draft: bool


@dataclass(frozen=True)
class FailedJob:
    """A job of a build that failed, with the end of its log as text."""

    name: str
    url: str
    log: str


@dataclass(frozen=True)
class Remark:
    """A line of a review: where it stands and what it says."""

    path: str
    line: int | None
    text: str


@dataclass(frozen=True)
class Issue:
    """An issue as it stands now. `author` is None for an account that is gone; `edited_at` is when
    title or text were changed last, None for never; `confidential` is whether only some of those
    who see the repository see it."""

    title: str
    text: str
    author: Actor | None
    edited_at: datetime | None
    confidential: bool = False


class Forge(Protocol):
    """A repository on a forge, with the rights of one token.

    Calls block. Each raises ForgeError. Reads are tried again after what passes by itself; writes
    only where that cannot do a thing twice.
    """

    name: Literal["github", "gitlab"]

    def use_fork(self, fork: str) -> None:
        """Lets the bot's branches go to this repository from now on; "": to this one itself."""

    def repository(self) -> Repository: ...

    def me(self) -> str:
        """The login that this token's comments and pull requests appear under."""

    def identity(self) -> str:
        """The name and address, `NAME <ADDRESS>`, of the commits that this token makes."""

    def may_write(self, actor: Actor) -> bool:
        """Whether the forge's permissions let `actor` push to the repository."""

    def file(self, path: str, commit: str) -> bytes | None: ...

    def head_of(self, branch: str) -> str | None:
        """The commit of a branch of the repository where the bot's branches go."""

    def head_message(self, branch: str) -> str:
        """The message of the last commit of a branch that is there, where the bot's branches go."""

    def base_commit(self, branch: str) -> str:
        """The commit of a branch of the repository itself."""

    def contains(self, branch: str, commit: str) -> bool:
        """Whether a commit is one of a branch of the repository itself. That the forge knows it is
        not enough: it keeps those of forks beside it."""

    def acknowledge(self, trigger: Trigger) -> None:
        """Puts a reaction on what asked; nothing where the trigger names no target."""

    def my_comments(self, place: Place) -> Sequence[Comment]:
        """The bot's own comments there, oldest first."""

    def my_recent_comments(self, since: datetime) -> Sequence[Comment]:
        """The bot's own comments anywhere in the repository, updated since then."""

    def add_comment(self, place: Place, body: str) -> Comment: ...

    def edit_comment(self, comment: Comment, body: str) -> None: ...

    def delete_comment(self, comment: Comment) -> None: ...

    def issue(self, place: Place) -> Issue: ...

    def pull(self, number: int) -> Pull: ...

    def open_pulls(self, prefix: str) -> Sequence[Pull]:
        """The bot's own open pull requests whose branch begins with `prefix`."""

    def commit(
        self, branch: str, parent: str, message: str, patch: Patch, expected: str | None
    ) -> str:
        """Makes one commit of `parent` plus `patch` through the forge, on `branch`, and gives its
        id. `expected` is where the branch is now, None for a new one: where it is elsewhere nothing
        is written and ForgeError has the status 409. File modes and links are kept; what a forge
        cannot store is a ForgeError before anything is written."""

    def delete_branch(self, branch: str, expected: str) -> None:
        """Removes a branch that is at `expected`, and leaves one that is not."""

    def open_pull(self, new: NewPull) -> Pull: ...

    def update_pull(self, number: int, title: str, body: str) -> Pull: ...

    def add_labels(self, place: Place, labels: Sequence[str]) -> None: ...

    def request_reviews(self, number: int, users: Sequence[str], teams: Sequence[str]) -> None: ...

    def failed_jobs(self, build: Build) -> Sequence[FailedJob]: ...

    def remarks(self, trigger: Trigger) -> Sequence[Remark]:
        """The remarks of the review that a trigger names, those of its actor only, as they stood
        when it was sent."""

    def recent_messages(self, branch: str) -> Sequence[str]:
        """The messages of the last commits of a branch, up to 20, merges left out."""

    def new_pull_url(self, new: NewPull) -> str:
        """The address where a person opens this pull request with one click."""

    def issue_url(self, place: Place) -> str: ...
