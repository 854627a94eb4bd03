"""A repository with a defect, and as much of a forge as the job needs that makes attempts."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from agent.bot.forge import FailedJob, Forge, Pull, Remark, Repository
from agent.bot.trigger import Actor, Build, Place, Trigger
from tests.agent.bench import FILES

IDENTITY = ("-c", "user.name=U", "-c", "user.email=u@example.org", "-c", "commit.gpgsign=false")
SHOWN = "from calc import add\n\n\ndef test_shown():\n    assert add(1, 1) == 2\n"


@dataclass
class Origin:
    """The repository, and the answers of the forge."""

    folder: Path
    private: bool = True
    writers: frozenset[str] = frozenset({"dev"})
    pulls: dict[int, Pull] = field(default_factory=dict)
    jobs: Sequence[FailedJob] = ()
    notes: Sequence[Remark] = ()
    name: str = "github"

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.commit(FILES)

    def git(self, *words: str) -> str:
        command = ["git", "-C", self.folder, *IDENTITY, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "a commit")
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, files: Mapping[str, str]) -> str:
        self.git("checkout", "-qb", name)
        commit = self.commit(files)
        self.git("checkout", "-q", "main")
        return commit

    def pull_of(self, commit: str, author: str = "dev", *, fork: bool = False) -> Place:
        url = self.folder.as_uri()
        self.pulls[7] = Pull(
            *(7, "https://forge.test/7", "open", "t", "b", author, "topic", commit, "main"),
            fork=fork,
            clone_url=url,
            draft=False,
        )
        return Place(7, pull=True)

    @property
    def forge(self) -> Forge:
        return cast(Forge, self)

    # What the forge answers.

    def repository(self) -> Repository:
        url = self.folder.as_uri()
        return Repository("o/r", "main", self.private, "https://forge.test/o/r", url)

    def base_commit(self, branch: str) -> str:
        return self.git("rev-parse", branch)

    def pull(self, number: int) -> Pull:
        return self.pulls[number]

    def may_write(self, actor: Actor) -> bool:
        return actor.login in self.writers

    def failed_jobs(self, build: Build) -> Sequence[FailedJob]:
        return self.jobs

    def remarks(self, trigger: Trigger) -> Sequence[Remark]:
        return self.notes


def trigger(**more: Any) -> Trigger:
    return Trigger(
        **{
            "key": "label:1",
            "action": "fix",
            "source": "label",
            "actor": Actor("dev", 1),
            "at": "2026-01-01T00:00:00Z",
            "place": Place(3),
            "title": "add is wrong",
            "text": "add(1, 1) gives 0",
            "author": Actor("stranger", 9),
            **more,
        }
    )


def build(origin: Origin, commit: str = "", *, fork: bool = False) -> Build:
    commit = commit or origin.base_commit("main")
    return Build(1, "checks", "https://forge.test/builds/1", commit, "main", fork)


def script(folder: Path, *turns: Any) -> dict[str, str]:
    path = folder / "script.json"
    path.write_text(json.dumps(list(turns)))
    return {"model": f"script:{path}"}
