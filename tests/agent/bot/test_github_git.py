"""Git itself against the fake: what a token's permissions let it fetch and push."""

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.bot.githubs import BOT, NAME, Desk, desk
from tests.fakes.forge.bare import ENVIRONMENT


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path / "forge", private=True) as made:
        yield made


def git(here: Desk, token: str, *arguments: str) -> bool:
    """Whether git does it, with the token in its environment only."""
    pair = b64encode(f"x-access-token:{token}".encode()).decode()
    own = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
    }
    command = ["git", *arguments]
    done = subprocess.run(command, env={**ENVIRONMENT, **own}, capture_output=True, check=False)
    return done.returncode == 0


def test_permissions_decide_who_fetches_and_pushes(here: Desk, tmp_path: Path) -> None:
    address, copy = f"{here.fake.url}/{NAME}.git", str(tmp_path / "copy")
    reads = here.store.token(BOT, "actions", {"contents": "read"}, NAME)
    none = here.store.token(BOT, "actions", {"issues": "write"}, NAME)
    assert not git(here, none, "ls-remote", address)
    assert not git(here, "wrong", "ls-remote", address)
    assert git(here, reads, "clone", "--quiet", address, copy)
    push = ("-C", copy, "push", "--quiet", "origin", "HEAD:refs/heads/pushed")
    assert not git(here, reads, *push)
    assert here.project.git.head("pushed") is None
    assert git(here, here.token, *push)
    assert here.head("pushed") == here.head("main")


def test_a_push_moves_an_open_pull_request(here: Desk, tmp_path: Path) -> None:
    address, copy = f"{here.fake.url}/{NAME}.git", str(tmp_path / "copy")
    pull = here.store.pull(here.project, BOT, "Fix", "", "main")
    assert git(here, here.token, "clone", "--quiet", address, copy)
    message = ("commit", "--quiet", "--allow-empty", "-m", "more")
    assert git(here, here.token, "-C", copy, *message)
    assert git(here, here.token, "-C", copy, "push", "--quiet", "origin", "HEAD:main")
    assert here.forge().pull(pull.number).commit == here.head("main")
    assert git(here, here.token, "-C", copy, "fetch", "origin", f"refs/pull/{pull.number}/head")
