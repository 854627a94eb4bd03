import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agent.bench import FILES

GREENROOM = Path(sys.executable).with_name("greenroom")
IDENTITY = ("-c", "user.name=U", "-c", "user.email=u@example.org", "-c", "commit.gpgsign=false")
Done = subprocess.CompletedProcess[str]


class User:
    """Somebody with a home of their own, a checkout, and the command."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.checkout = folder / "my prøject"
        self.checkout.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            # The image is shared with the other tests: its locks lie in the real cache.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        }
        self.write(FILES)
        self.git("init", "-q", "-b", "main")
        self.commit()

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.checkout / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", self.checkout, *IDENTITY, *words],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "a commit")

    def script(self, *turns: Any) -> str:
        path = self.home / "script.json"
        path.write_text(json.dumps(list(turns)))
        return f"script:{path}"

    def command(self, *words: str) -> list[str]:
        return [str(GREENROOM), *words]

    def greenroom(
        self, *words: str, stdin: str = "", cwd: Path | None = None, **variables: str
    ) -> Done:
        return subprocess.run(
            self.command(*words),
            cwd=cwd or self.checkout,
            env=self.environment | variables,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def prune(self, *words: str, engine: str = "unix:///nowhere") -> Done:
        """`greenroom prune`, never on the engine that the tests share with others."""
        return self.greenroom("prune", *words, DOCKER_HOST=engine)


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)
