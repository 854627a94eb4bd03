"""What a forge remembers, whichever it is: accounts and tokens, and projects with their issues,
comments, pull requests, reviews and builds over real bare git repositories.

The fakes of GitHub and of GitLab speak their APIs over one such store; a test may also change it
directly, as a person at the forge would. Whoever reads or changes it holds `lock`.
"""

import itertools
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tests.fakes.forge.bare import BareRepository

#: Weakest first. GitLab: guest, reporter, developer, maintainer, owner stand for the last five.
ROLES = ("none", "read", "triage", "write", "maintain", "admin")
Role = Literal["none", "read", "triage", "write", "maintain", "admin"]
State = Literal["open", "closed", "merged"]


@dataclass(frozen=True)
class User:
    login: str
    id: int
    bot: bool = False


@dataclass(frozen=True)
class Token:
    """`kind` is the server's to read: GitHub's "user", "actions" or "app", GitLab's "personal",
    "job" or "project". So are the names in `scopes`, each with "read" or "write". A token with
    `project` writes to that one only."""

    value: str
    user: User
    kind: str
    scopes: Mapping[str, str]
    project: str = ""


@dataclass
class Reaction:
    id: int
    author: str
    content: str


@dataclass
class Comment:
    """A note on an issue or pull request; `path`, `line` and `review` are those of a remark on a
    changed line."""

    id: int
    number: int
    pull: bool
    author: str
    body: str
    created_at: datetime
    updated_at: datetime
    path: str = ""
    line: int | None = None
    review: int = 0
    system: bool = False
    reactions: list[Reaction] = field(default_factory=list)


@dataclass
class Issue:
    number: int
    id: int
    title: str
    body: str
    author: str
    created_at: datetime
    updated_at: datetime
    state: State = "open"
    labels: list[str] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    edited_at: datetime | None = None
    renamed_at: datetime | None = None
    confidential: bool = False


@dataclass
class Pull(Issue):
    """`head` is the project of its branch; `commit` is where that branch is, or last was."""

    head: str = ""
    branch: str = ""
    commit: str = ""
    base_branch: str = ""
    draft: bool = False
    reviewers: list[str] = field(default_factory=list)
    teams: list[str] = field(default_factory=list)


@dataclass
class Review:
    id: int
    number: int
    author: str
    body: str
    state: str
    commit: str
    submitted_at: datetime


@dataclass
class Job:
    id: int
    name: str
    conclusion: str
    log: bytes


@dataclass
class Build:
    """A workflow run or pipeline; `head` is the project whose commit was checked."""

    id: int
    name: str
    head: str
    branch: str
    commit: str
    conclusion: str
    event: str
    jobs: list[Job]


@dataclass
class Project:
    """`settings` holds what a forge's owner can switch, by names of the fake that reads them."""

    name: str
    id: int
    git: BareRepository
    default_branch: str
    private: bool
    parent: str = ""
    roles: dict[str, Role] = field(default_factory=dict)
    settings: dict[str, bool] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    remarks: dict[int, Comment] = field(default_factory=dict)
    reviews: dict[int, Review] = field(default_factory=dict)
    builds: dict[int, Build] = field(default_factory=dict)

    def role(self, login: str) -> Role:
        return self.roles.get(login, "none" if self.private else "read")

    def at_least(self, login: str, role: Role) -> bool:
        return ROLES.index(self.role(login)) >= ROLES.index(role)


class Store:
    """`own_numbers`: pull requests are numbered apart from issues, as at GitLab."""

    def __init__(self, folder: Path, own_numbers: bool = False) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}
        self.projects: dict[str, Project] = {}
        self._own_numbers = own_numbers
        self._ids = itertools.count(1001)

    def now(self) -> datetime:
        """The forge's clock, in whole seconds as forges write it; a test may set another."""
        return datetime.now(UTC).replace(microsecond=0)

    def next_id(self) -> int:
        return next(self._ids)

    def user(self, login: str, bot: bool = False) -> User:
        """The account of this login, which is made on first use."""
        if login not in self.users:
            self.users[login] = User(login, self.next_id(), bot)
        return self.users[login]

    def token(
        self, login: str, kind: str, scopes: Mapping[str, str] | None = None, project: str = ""
    ) -> str:
        """A new token of an account."""
        value = f"secret-{kind}-{secrets.token_hex(16)}"
        user = self.user(login, bot=login.endswith("[bot]"))
        self.tokens[value] = Token(value, user, kind, dict(scopes or {}), project)
        return value

    def project(
        self,
        name: str,
        files: Mapping[str, str | bytes] | None = None,
        *,
        private: bool = False,
        default_branch: str = "main",
        roles: Mapping[str, Role] | None = None,
    ) -> Project:
        """A new project with one commit of `files`."""
        git = BareRepository.create(self.folder / f"{name}.git", default_branch)
        git.commit(default_branch, files or {"README.md": "# A project\n"}, "Begin")
        return self._keep(name, git, default_branch, private, dict(roles or {}))

    def fork(self, parent: str, name: str) -> Project:
        """A copy of a project under another name, which its owner may push to."""
        origin = self.projects[parent]
        git = origin.git.clone(self.folder / f"{name}.git")
        roles: dict[str, Role] = {name.partition("/")[0]: "admin"}
        made = self._keep(name, git, origin.default_branch, origin.private, roles)
        made.parent = parent
        return made

    def _keep(
        self, name: str, git: BareRepository, branch: str, private: bool, roles: dict[str, Role]
    ) -> Project:
        for login in roles:
            self.user(login)
        made = Project(name, self.next_id(), git, branch, private, roles=roles)
        self.projects[name] = made
        return made

    def _number(self, project: Project, kind: type[Issue]) -> int:
        taken: Iterable[int] = {*project.issues, *project.pulls}
        if self._own_numbers:
            taken = project.pulls if kind is Pull else project.issues
        return max(taken, default=0) + 1

    def issue(self, project: Project, author: str, title: str, body: str = "") -> Issue:
        self.user(author)
        number, now = self._number(project, Issue), self.now()
        made = Issue(number, self.next_id(), title, body, author, now, now)
        project.issues[number] = made
        return made

    def edit(self, entry: Issue, *, title: str | None = None, body: str | None = None) -> None:
        """Changes an issue's words, as its author may at any time."""
        entry.updated_at = self.now()
        if title is not None:
            entry.title, entry.renamed_at = title, self.now()
        if body is not None:
            entry.body, entry.edited_at = body, self.now()

    def pull(
        self,
        project: Project,
        author: str,
        title: str,
        body: str,
        branch: str,
        *,
        head: str = "",
        base_branch: str = "",
        draft: bool = False,
    ) -> Pull:
        self.user(author)
        number, now = self._number(project, Pull), self.now()
        made = Pull(number, self.next_id(), title, body, author, now, now)
        made.head, made.branch, made.draft = head or project.name, branch, draft
        made.base_branch = base_branch or project.default_branch
        project.pulls[number] = made
        self.follow_branches()
        return made

    def comment(self, project: Project, number: int, pull: bool, author: str, body: str) -> Comment:
        self.user(author)
        now = self.now()
        made = Comment(self.next_id(), number, pull, author, body, now, now)
        project.comments[made.id] = made
        return made

    def review(
        self,
        project: Project,
        number: int,
        author: str,
        body: str = "",
        state: str = "CHANGES_REQUESTED",
    ) -> Review:
        self.user(author)
        commit = project.pulls[number].commit
        made = Review(self.next_id(), number, author, body, state, commit, self.now())
        project.reviews[made.id] = made
        return made

    def remark(
        self, project: Project, review: Review, path: str, line: int | None, body: str, author: str
    ) -> Comment:
        """A comment on a line; `author` need not be the review's, as in a reply to it."""
        self.user(author)
        now = self.now()
        made = Comment(self.next_id(), review.number, True, author, body, now, now, path, line)
        made.review = review.id
        project.remarks[made.id] = made
        return made

    def build(
        self,
        project: Project,
        branch: str,
        jobs: Mapping[str, tuple[str, bytes]],
        *,
        name: str = "tests",
        head: str = "",
        event: str = "push",
    ) -> Build:
        """A finished run; `jobs` maps names to conclusions and logs."""
        source = self.projects[head or project.name]
        commit = source.git.head(branch) or ""
        run = [Job(self.next_id(), job, end, log) for job, (end, log) in jobs.items()]
        failed = any(job.conclusion == "failure" for job in run)
        conclusion = "failure" if failed else "success"
        made = Build(self.next_id(), name, source.name, branch, commit, conclusion, event, run)
        project.builds[made.id] = made
        return made

    def follow_branches(self) -> None:
        """Lets open pull requests follow their branches, as forges do after a push: their commits
        are in the project itself under refs/pull/N/head and refs/merge-requests/N/head."""
        heads: dict[str, dict[str, str]] = {}
        for project in self.projects.values():
            for pull in project.pulls.values():
                head = self.projects.get(pull.head)
                if head is None or pull.state != "open":
                    continue
                if head.name not in heads:
                    heads[head.name] = head.git.branches()
                commit = heads[head.name].get(pull.branch)
                if commit is None or commit == pull.commit:
                    continue
                pull.commit = commit
                if head is not project:
                    project.git.take_from(head.git, commit)
                for kind in ("pull", "merge-requests"):
                    project.git.set_ref(f"refs/{kind}/{pull.number}/head", commit)
