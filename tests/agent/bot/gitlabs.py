"""A fake GitLab with one project and a bot, and a client of it, for the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.bot.gitlab import GitLab
from agent.bot.gitlab_api import Api
from agent.bot.trigger import Actor, Place, Trigger
from tests.fakes.forge.gitlab import FakeGitLab
from tests.fakes.forge.store import Project, Store

BOT = "project_7_bot_0a1b2c"
FILES = {
    "README.md": "# A project\n",
    "src/app.py": "print('no')\n",
    "src/gone.py": "pass\n",
    "bin/tool": "#!/bin/sh\n",
}


@dataclass(frozen=True)
class Desk:
    """A project at a fake GitLab; `token` is the bot's, of scope `api`. `pauses` are those that the
    clients would have made."""

    fake: FakeGitLab
    project: Project
    token: str
    timeout: float = 20.0
    pauses: list[float] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.fake.store

    def forge(self, token: str = "", fork: str = "", login: str = "") -> GitLab:
        api = Api(
            self.fake.url, token or self.token, timeout=self.timeout, sleep=self.pauses.append
        )
        made = GitLab(api, self.project.name, login)
        made.use_fork(fork)
        return made

    def issue(self, author: str = "stranger") -> Place:
        with self.store.lock:
            return Place(self.store.issue(self.project, author, "It fails", "Badly.").number)

    def actor(self, login: str) -> Actor:
        return Actor(login, self.store.user(login).id)

    def head(self, branch: str) -> str | None:
        return self.project.git.head(branch)


@contextmanager
def desk(folder: Path, private: bool = False) -> Iterator[Desk]:
    store = Store(folder, own_numbers=True)
    project = store.project(
        "team/app",
        FILES,
        private=private,
        roles={"dev": "write", "reporter": "triage", BOT: "write"},
    )
    project.git.commit("main", {"bin/tool": "#!/bin/sh\n"}, "Run it", modes={"bin/tool": "100755"})
    fake = FakeGitLab(store)
    token = store.token(BOT, "project", {"api": "write"}, project.name)
    with fake.serving():
        yield Desk(fake, project, token)


def asked(desk: Desk, login: str, place: Place, comment: int = 0, guidance: str = "") -> Trigger:
    return Trigger(
        key=f"comment:{comment}",
        action="fix",
        source="comment",
        actor=desk.actor(login),
        at="2026-11-27T10:00:00+00:00",
        place=place,
        guidance=guidance,
        target="comment" if comment else "pull" if place.pull else "issue",
        target_id=comment or place.number,
    )
