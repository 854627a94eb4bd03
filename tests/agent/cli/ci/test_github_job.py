"""The whole way at a fake GitHub with real git: an event in, a pull request out."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.bot.forge import Pull
from agent.cli.main import main
from tests.agent.bench import FILES, FIX, call
from tests.agent.bot import github_events as events
from tests.agent.bot.githubs import BOT, Desk, desk

pytestmark = pytest.mark.docker

SHOWN = "from calc import add\n\n\ndef test_shown():\n    assert add(1, 1) == 2\n"
END = call("finish", summary="add took away; ping @everybody, closes #99")
FINISH = {"calls": [END]}
WHOLE = {"calls": [*FIX["calls"], call("write_file", path="test_shown.py", content=SHOWN), END]}
#: Before there was a test that shows the defect.
UNSHOWN = {
    "test_calc.py": "from calc import double\n\n\ndef test_double():\n    assert double(4) == 8\n"
}
REQUESTS = {"issues": "write", "pull_requests": "write", "contents": "read"}
READS = {"issues": "read", "pull_requests": "read", "contents": "read", "actions": "read"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("STATE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    with desk(tmp_path / "forge") as made:
        made.project.git.commit("main", FILES, "Begin")
        made.project.roles["dev"] = "write"
        yield made


class Runner:
    """Runs the bot's jobs, each with a token that holds what the workflow gives it."""

    def __init__(self, here: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here = here
        self.folder = folder
        self.output = folder / "outputs"
        tokens = {
            "accept": REQUESTS,
            "propose": READS,
            "publish": {**REQUESTS, "contents": "write"},
        }
        self.tokens = {
            step: here.store.token(BOT, "actions", scopes, here.project.name)
            for step, scopes in tokens.items()
        }
        self.patch = monkeypatch
        for name, value in {
            "GITHUB_REPOSITORY": here.project.name,
            "GITHUB_API_URL": here.fake.api_url,
            "GITHUB_SERVER_URL": here.fake.url,
            "GITHUB_RUN_ID": "55",
            "GITHUB_OUTPUT": str(self.output),
        }.items():
            monkeypatch.setenv(name, value)

    def event(self, name: str, payload: dict[str, Any]) -> None:
        path = self.folder / "event.json"
        path.write_text(json.dumps(payload))
        self.patch.setenv("GITHUB_EVENT_NAME", name)
        self.patch.setenv("GITHUB_EVENT_PATH", str(path))

    def step(self, step: str, *flags: str) -> int:
        self.patch.setenv("GITHUB_TOKEN", self.tokens[step])
        folder = str(self.folder / "proposal")
        return main(["ci", "github", step, "-o", folder, *flags])

    def all(self, *turns: Any) -> None:
        assert self.step("accept") == 0
        assert self.output.read_text().splitlines()[0] == "go=true"
        limit = ("--turn-limit", str(len(turns)))
        assert self.step("propose", *self.script(turns), *limit) == 0
        assert self.step("publish") == 0

    def script(self, turns: Sequence[Any]) -> tuple[str, ...]:
        path = self.folder / "script.json"
        path.write_text(json.dumps(list(turns)))
        return ("-m", f"script:{path}")


@pytest.fixture
def runner(here: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    return Runner(here, tmp_path, monkeypatch)


def user(here: Desk, login: str) -> dict[str, Any]:
    return events.user(login, here.store.user(login).id)


def labelled(here: Desk, body: str = "add(1, 1) gives 0", by: str = "dev") -> dict[str, Any]:
    with here.store.lock:
        issue = here.store.issue(here.project, "stranger", "add is wrong", body)
    told = events.issue(
        number=issue.number, title=issue.title, body=body, user=user(here, "stranger")
    )
    return events.labelled(issue=told, sender=user(here, by))


def commented(here: Desk, body: str, by: str = "dev") -> dict[str, Any]:
    """A comment on the first issue."""
    number = min(here.project.issues)
    with here.store.lock:
        note = here.store.comment(here.project, number, False, by, body)
    event = events.commented(body, issue=events.issue(number=number))
    at = note.created_at.isoformat()
    event["comment"] |= {"id": note.id, "user": user(here, by), "created_at": at, "updated_at": at}
    return event


def pulls(here: Desk) -> list[Pull]:
    return list(here.forge().open_pulls("greenroom/"))


def comments(here: Desk) -> list[str]:
    with here.store.lock:
        return [each.body for each in here.project.comments.values() if each.author == BOT]


def test_a_labelled_issue_becomes_a_proved_pull_request(
    here: Desk, runner: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    here.project.git.commit("main", UNSHOWN, "Forget a test")
    runner.event("issues", labelled(here))
    runner.all(WHOLE)
    [pull] = pulls(here)
    number = min(here.project.issues)
    assert pull.title == "add is wrong"
    assert f"Closes #{number}." in pull.body
    assert "**Reproduced.**" in pull.body
    assert "test_shown.py::test_shown" in pull.body
    assert "closes #99" not in pull.body
    assert "@everybody" not in pull.body
    assert (
        here.project.git.file("calc.py", pull.commit)
        == FILES["calc.py"].replace("a - b", "a + b").encode()
    )
    assert here.project.git.file("test_shown.py", pull.commit) == SHOWN.encode()
    [comment] = comments(here)
    assert pull.url in comment
    printed = "".join(capfd.readouterr())
    made = "".join(path.read_text() for path in (runner.folder / "proposal").iterdir())
    shown = printed + comment + pull.body + made
    assert not [token for token in runner.tokens.values() if token in shown]


def test_one_event_delivered_five_times_at_once_makes_one_pull_request(
    here: Desk, runner: Runner
) -> None:
    runner.event("issues", labelled(here))
    runner.patch.setenv("GITHUB_TOKEN", here.token)
    script = runner.script((FIX, FINISH))
    folders = [str(runner.folder / f"proposal{number}") for number in range(5)]
    program = Path(sys.executable).with_name("greenroom")

    def accept(number: int) -> int:
        variables = {**os.environ, "GITHUB_RUN_ID": str(number)}
        command = [program, "ci", "github", "accept"]
        return subprocess.run(command, env=variables, check=False, capture_output=True).returncode

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(accept, range(1, 6))) == [0] * 5
    assert sorted(runner.output.read_text().split()).count("go=true") == 1
    # And where a forge runs the later jobs of each delivery all the same:
    assert main(["ci", "github", "propose", "-o", folders[0], *script]) == 0
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: main(["ci", "github", "publish", "-o", folders[0]]), range(5)))
    assert len(pulls(here)) == 1
    assert len(comments(here)) == 1


def test_an_attempt_that_fails_leaves_one_comment_and_no_branch(here: Desk, runner: Runner) -> None:
    runner.event("issues", labelled(here))
    runner.all(FINISH)
    assert pulls(here) == []
    assert not [name for name in here.project.git.branches() if "greenroom" in name]
    [comment] = comments(here)
    assert "No patch" in comment
    assert "`test_calc.py::test_add`" in comment


def test_a_strangers_label_sets_nothing_off(here: Desk, runner: Runner) -> None:
    runner.event("issues", labelled(here, by="stranger"))
    for step in ("accept", "propose", "publish"):
        assert runner.step(step, *runner.script((FIX, FINISH))) in (0, 2)
    assert "go=true" not in runner.output.read_text()
    assert comments(here) == []
    assert pulls(here) == []
    assert not (runner.folder / "proposal").exists()


def test_a_propose_job_that_died_is_told(here: Desk, runner: Runner) -> None:
    runner.event("issues", labelled(here))
    assert runner.step("accept") == 0
    assert runner.step("publish") == 0
    [comment] = comments(here)
    assert "left no result" in comment


def test_a_job_that_may_not_write_cannot_publish(
    here: Desk, runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    runner.event("issues", labelled(here))
    runner.all(FIX)
    runner.tokens["publish"] = runner.tokens["propose"]
    runner.event("issue_comment", commented(here, "/greenroom retry"))
    assert runner.step("accept") == 0
    assert runner.step("propose", *runner.script((FIX, FINISH))) == 0
    assert runner.step("publish") == 3
    assert "403" in capsys.readouterr().err


def test_the_whole_in_one_process(here: Desk, runner: Runner) -> None:
    runner.event("issues", labelled(here))
    runner.patch.setenv("GITHUB_TOKEN", here.token)
    folder = str(runner.folder / "proposal")
    assert main(["ci", "github", "-o", folder, *runner.script((FIX, FINISH))]) == 0
    assert len(pulls(here)) == 1


@pytest.mark.parametrize("content", ["", "[]", "{", "{}", '{"action": 5}'])
def test_an_event_that_is_none_is_told_in_a_line(
    here: Desk, runner: Runner, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    runner.event("issues", {})
    (runner.folder / "event.json").write_text(content)
    assert runner.step("accept") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_outside_of_a_job_the_way_to_begin_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_EVENT_NAME", raising=False)
    assert main(["ci", "github"]) == 3
    assert "greenroom ci init" in capsys.readouterr().err
