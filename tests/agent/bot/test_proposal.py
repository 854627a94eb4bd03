"""A proposal that lies, and one that is none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.bot import proposal
from agent.bot.proposal import Proposal
from agent.bot.steps import Job
from agent.bot.trigger import Actor, Place, Trigger
from sandbox.errors import UsageError
from sandbox.patch import FILE, Change, Patch
from tests.agent.bot.githubs import Desk

GOOD = Proposal(
    *("comment:1", "solved", "", "main", "a1" * 20),
    patch=Patch((Change("a.py", FILE, b"1\n"),)),
    grade="proved",
)
TRIGGER = Trigger("comment:1", "fix", "comment", Actor("dev", 1), "", Place(1))
Lie = Callable[[dict[str, Any]], object]


def change(path: str, mode: Any = FILE, content: Any = "MQ==") -> Lie:
    entry = {"path": path, "mode": mode, "content": content}
    return lambda data: data.update(patch=[entry])


LIES: dict[str, Lie] = {
    "grade": lambda data: data.update(grade="certain"),
    "no grade": lambda data: data.update(grade=""),
    "status": lambda data: data.update(status="merged"),
    "commit": lambda data: data.update(commit="main"),
    "commit with a line": lambda data: data.update(commit="a1" * 20 + "\n"),
    "more": lambda data: data.update({"evil\n::set-output name=go::true": 1}),
    "turns": lambda data: data.update(turns="many"),
    "notes": lambda data: data.update(notes=[{}]),
    "twice": lambda data: data.update(patch=data["patch"] * 2),
    "out of the tree": change("../a"),
    "absolute": change("/etc/passwd"),
    "drive": change("C:\\a"),
    "git": change(".git/hooks/post-checkout"),
    "git folded": change(".G\u200ci\u200dT/config"),
    "git short": change("GIT~1/config"),
    "newline": change("a\nb"),
    "link": change("a", 0o120000),
    "submodule": change("a", 0o160000),
    "setuid": change("a", 0o104755),
    "half": change("a", None),
    "no base64": change("a", FILE, "?"),
    "surrogate": change("a\ud800"),
}


def written(folder: Path, lie: Lie) -> Path:
    data = json.loads(GOOD.write(folder).read_text())
    lie(data)
    path = folder / proposal.FILE
    path.write_text(json.dumps(data))
    return path


def test_an_honest_one_is_read(tmp_path: Path) -> None:
    written(tmp_path, lambda data: None)
    assert proposal.read(tmp_path) == GOOD


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_is_told(tmp_path: Path, lie: Lie) -> None:
    written(tmp_path, lie)
    with pytest.raises(UsageError) as raised:
        proposal.read(tmp_path)
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "[" * 100_000, '{"schema": 1}'])
def test_what_is_no_proposal_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / proposal.FILE).write_text(content)
    with pytest.raises(UsageError):
        proposal.read(tmp_path)


@pytest.mark.parametrize("lie", ["grade", "git", "key"])
def test_whoever_asked_gets_an_answer_all_the_same(here: Desk, tmp_path: Path, lie: str) -> None:
    place = here.issue()
    lies = {**LIES, "key": lambda data: data.update(key="comment:2")}
    written(tmp_path, lies[lie])
    asked = Trigger("comment:1", "fix", "comment", here.actor("dev"), "", place)
    job = Job(here.forge(), lambda config: asked, tmp_path, "", print)
    assert job.publish().told.startswith("broken: What the job")
    [comment] = here.forge().my_comments(place)
    assert "broke off" in comment.body
    assert list(here.forge().open_pulls("greenroom/")) == []
