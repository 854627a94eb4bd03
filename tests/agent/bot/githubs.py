"""A fake GitHub with one repository and a job's token, and a client of it, for the tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.bot.github import GitHub, connect
from agent.bot.trigger import Actor, Build, Place, Trigger
from tests.fakes.forge.github import FakeGitHub
from tests.fakes.forge.store import Project, Store

BOT = "github-actions[bot]"
NAME = "acme/app"
#: What the workflow gives the token of the job that publishes.
WRITES = {
    "contents": "write",
    "issues": "write",
    "pull_requests": "write",
    "actions": "read",
}
FILES = {
    "README.md": "# A project\n",
    "src/app.py": "print('no')\n",
    "src/gone.py": "pass\n",
}


@dataclass(frozen=True)
class Desk:
    """A repository at a fake GitHub; `token` is a job's that may write. `pauses` are the seconds
    that clients would have waited, `said` what they said."""

    fake: FakeGitHub
    project: Project
    token: str
    pauses: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.fake.store

    def forge(
        self, token: str = "", fork: str = "", sleep: Callable[[float], None] | None = None
    ) -> GitHub:
        variables = {
            "GITHUB_TOKEN": token or self.token,
            "GITHUB_REPOSITORY": self.project.name,
            "GITHUB_API_URL": self.fake.api_url,
            "GITHUB_SERVER_URL": self.fake.url,
        }
        made = connect(variables, say=self.said.append, sleep=sleep or self.pauses.append)
        made.use_fork(fork)
        return made

    def issue(self, author: str = "stranger") -> Place:
        with self.store.lock:
            return Place(self.store.issue(self.project, author, "It fails", "Badly.").number)

    def actor(self, login: str) -> Actor:
        return Actor(login, self.store.user(login).id)

    def head(self, branch: str) -> str:
        found = self.project.git.head(branch)
        assert found is not None
        return found

    def build(self, *jobs: tuple[str, str, bytes]) -> Build:
        run = {name: (conclusion, log) for name, conclusion, log in jobs}
        made = self.store.build(self.project, "main", run)
        return Build(made.id, made.name, "", made.commit, made.branch, fork=False)


@contextmanager
def desk(folder: Path, private: bool = False) -> Iterator[Desk]:
    store = Store(folder)
    roles = {"ann": "write", "max": "maintain", "tim": "triage", "ron": "read", "rob": "admin"}
    project = store.project(NAME, FILES, private=private, roles=roles)  # type: ignore[arg-type]
    fake = FakeGitHub(store)
    token = store.token(BOT, "actions", WRITES, project.name)
    with fake.serving():
        yield Desk(fake, project, token)


def asked(
    desk: Desk,
    login: str,
    place: Place | None,
    target: str | None,
    number: int = 0,
    review: int = 0,
) -> Trigger:
    return Trigger(
        key=f"{target}:{number}",
        action="fix",
        source="review" if review else "comment",
        actor=desk.actor(login),
        at="2026-11-27T10:00:00+00:00",
        place=place,
        target=target,  # type: ignore[arg-type]
        target_id=number,
        review=review,
    )
