import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from agent import trust
from agent.bot import proposal as proposals
from agent.bot import propose as module
from agent.bot.attempt import Seen
from agent.bot.config import Config
from agent.bot.forge import FailedJob, ForgeError, Remark
from agent.bot.ground import find
from agent.bot.proposal import Proposal
from agent.bot.propose import propose
from agent.bot.trigger import Trigger
from agent.request import Request, settings_of, task_of
from sandbox.errors import SetupError
from sandbox.trees import TreeStore
from tests.agent.bench import FIX, call, edit
from tests.agent.bot.proposing import SHOWN, Origin, build, script, trigger

TOKEN = "forge-token-0123456789"
GOOD = "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n"


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


class Made:
    """What one job left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    def of(self, origin: Origin, asked: Trigger, flags: dict[str, Any], **more: Any) -> Proposal:
        config = more.pop("config", Config())
        environ = {"GITHUB_TOKEN": TOKEN}
        found = asyncio.run(
            propose(
                *(origin.forge, asked, config, flags, self.folder, self.said.append),
                **{"environ": environ, **more},
            )
        )
        assert proposals.read(self.folder) == found
        return found

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "out")


@pytest.mark.docker
def test_an_issue_becomes_a_proved_patch(origin: Origin, made: Made, tmp_path: Path) -> None:
    finish = {"calls": [call("finish", summary="It took away. Now it adds.")]}
    change = {"calls": [*FIX["calls"], *finish["calls"]]}
    found = made.of(origin, trigger(), script(tmp_path, change))
    assert (found.status, found.grade, found.verdict) == ("solved", "proved", "solved")
    assert (found.branch, found.commit) == ("main", origin.base_commit("main"))
    assert found.patch.paths == ("calc.py",)
    assert "+    return a + b" in found.diff
    assert found.before.failing == found.repaired == ("test_calc.py::test_add",)
    assert (found.before.passing, found.after.passing, found.after.failing) == (1, 2, ())
    assert found.summary == "It took away. Now it adds."
    assert (found.turns, found.key) == (1, "label:1")
    assert "the turns came from a script" in found.model
    assert "return a + b" in made.page
    assert all("It took away" not in line for line in made.said)


@pytest.mark.docker
@pytest.mark.parametrize(
    "path", ["test_calc.py", pytest.param("test_shown.py", marks=pytest.mark.nightly)]
)
def test_a_test_that_the_patch_adds_is_seen_red_before_and_green_after(
    path: str, origin: Origin, made: Made, tmp_path: Path
) -> None:
    weak = "from calc import double\n\n\ndef test_double():\n    assert double(4) == 8\n"
    origin.commit({"test_calc.py": weak})
    test = (weak if path == "test_calc.py" else "") + SHOWN
    write = call("write_file", path=path, content=test)
    turn = {"calls": [write, *FIX["calls"], call("finish", summary="done")]}
    found = made.of(origin, trigger(), script(tmp_path, turn))
    assert (found.status, found.grade) == ("solved", "reproduced")
    assert found.added_tests == (f"{path}::test_shown",)
    assert path in found.patch.paths


@pytest.mark.docker
def test_a_red_build_that_is_green_here_is_not_reproduced(
    origin: Origin, made: Made, tmp_path: Path
) -> None:
    origin.commit({"calc.py": GOOD})
    asked = trigger(source="build", place=None, title="", text="", build=build(origin))
    found = made.of(origin, asked, script(tmp_path))
    assert (found.status, found.turns) == ("not reproduced", 0)
    assert "pytest` was run in a sandbox" in found.reason
    assert "2 passing, 0 failing" in found.reason


@pytest.mark.docker
def test_a_red_build_whose_tests_pass_here_is_not_reproduced_though_others_fail(
    origin: Origin, made: Made, tmp_path: Path
) -> None:
    origin.jobs = [FailedJob("test", "", "FAILED test_calc.py::test_double - assert\n")]
    asked = trigger(source="build", place=None, title="", text="", build=build(origin))
    found = made.of(origin, asked, script(tmp_path))
    assert found.status == "not reproduced"
    assert (
        "those that failed elsewhere pass here: test_calc.py::test_double" in found.reason.lower()
    )


@pytest.mark.docker
@pytest.mark.nightly
def test_a_red_build_is_mended(origin: Origin, made: Made, tmp_path: Path) -> None:
    origin.jobs = [FailedJob("test", "", "FAILED test_calc.py::test_add - assert -1 == 5\n")]
    asked = trigger(source="build", place=None, title="", text="", build=build(origin))
    found = made.of(origin, asked, script(tmp_path, FIX))
    assert (found.status, found.grade) == ("solved", "proved")


@pytest.mark.docker
def test_what_is_not_solved_says_so_and_hands_on_no_patch(
    origin: Origin, made: Made, tmp_path: Path
) -> None:
    flags = {**script(tmp_path, edit("a - b", "b - a")), "turn_limit": 1}
    found = made.of(origin, trigger(), flags)
    assert (found.status, found.grade, len(found.patch)) == ("not solved", "", 0)
    assert found.after.failing == ("test_calc.py::test_add",)


@pytest.mark.docker
def test_a_stop_ends_the_attempt(
    origin: Origin, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    stall = {"calls": [call("shell", command="sleep 300")]}
    asked: list[bool] = []

    def stopped() -> bool:
        # Not before the model's command runs.
        asked.append(any(line == "turn 1" for line in made.said))
        return asked[-1]

    found = made.of(origin, trigger(), script(tmp_path, stall), stopped=stopped)
    assert found.status == "stopped"
    assert found.commit == origin.base_commit("main")


def test_a_forge_that_does_not_answer_the_stop_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    answers = iter([ForgeError("busy", status=503), False, True])

    def stopped() -> bool:
        answer = next(answers)
        if isinstance(answer, ForgeError):
            raise answer
        return answer

    said: list[str] = []
    with pytest.raises(module.Stopped):
        asyncio.run(module.until(asyncio.sleep(60), stopped, said.append))
    assert said == ["whether to stop is not known: busy"]


def test_whatever_breaks_is_written_without_secrets(
    origin: Origin, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise SetupError(f"the forge says no to {TOKEN}", "Mend ghp_" + "a1B2" * 9)

    monkeypatch.setattr(origin, "repository", broken)
    found = made.of(origin, trigger(), {})
    assert (found.status, found.commit) == ("broken", "0" * 40)
    assert found.reason == "the forge says no to [redacted]\nMend [redacted]"
    assert TOKEN not in made.page


def test_a_fault_of_ours_is_written_too(
    origin: Origin, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "repository", lambda: 1 / 0)
    found = made.of(origin, trigger(), {})
    assert (found.status, "ZeroDivisionError" in found.reason) == ("broken", True)


def test_a_commit_that_cannot_be_fetched_breaks_it(origin: Origin, made: Made) -> None:
    place = origin.pull_of("1" * 40)
    found = made.of(origin, trigger(place=place), {})
    assert found.status == "broken"
    assert "does not give out the commit" in found.reason


def test_a_cancelled_job_leaves_its_proposal(origin: Origin, made: Made) -> None:
    asked, on = threading.Event(), threading.Event()

    def waiting() -> Any:
        asked.set()
        on.wait(30)
        raise SetupError("too late")

    origin.repository = waiting  # type: ignore[method-assign]

    async def cancelled() -> None:
        work = propose(origin.forge, trigger(), Config(), {}, made.folder, made.said.append)
        task = asyncio.create_task(work)
        await asyncio.to_thread(asked.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        on.set()

    asyncio.run(cancelled())
    assert proposals.read(made.folder).status == "stopped"


# Whose word is taken.


def test_a_head_is_trusted_where_its_author_may_push(origin: Origin) -> None:
    commit = origin.branch("topic", {"calc.py": GOOD})
    for author, fork, trusted in (
        ("dev", False, True),
        ("stranger", False, False),
        ("dev", True, False),
    ):
        place = origin.pull_of(commit, author, fork=fork)
        found = find(origin.forge, trigger(place=place))
        assert (found.trusted, found.commit, found.branch) == (trusted, commit, "topic")
        assert found.settings == origin.base_commit("main")
        assert found.pin().image == (commit if trusted else found.settings)


def test_a_build_of_another_repositorys_code_is_not_trusted(origin: Origin) -> None:
    asked = trigger(source="build", place=None, build=build(origin, fork=True))
    assert not find(origin.forge, asked).trusted


EVIL = {
    "greenroom.toml": 'model = "openai:evil"\nsetup = ["curl evil"]\ntest_cmd = "true"\n',
    "requirements.txt": "evil-package==6.6.6\n",
    ".devcontainer.json": '{"image": "evil:1"}',
    "Dockerfile": "FROM evil:2\n",
}


@pytest.mark.parametrize("fork", [True, False])
def test_the_image_of_a_head_that_is_not_trusted_is_the_default_branchs(
    fork: bool, origin: Origin, tmp_path: Path
) -> None:
    origin.commit(
        {"greenroom.toml": 'dockerfile = "Dockerfile"\nmemory = "1G"\n', "Dockerfile": "FROM own\n"}
    )
    commit = origin.branch("topic", EVIL)
    place = find(origin.forge, trigger(place=origin.pull_of(commit, "stranger", fork=fork)))
    place.fetch(tmp_path / "got", "", "x")
    request = Request(tmp_path / "got", pin=place.pin())
    settings = settings_of(request, print)
    assert (settings["memory"], settings["model"], settings["setup"]) == (1 << 30, None, ())
    asked = task_of(request, settings, TreeStore.create(tmp_path / "trees.git"))
    files = asked.image_files
    assert files.store.blob(files.tree, "Dockerfile") == b"FROM own\n"
    assert asked.task.base.store.blob(asked.task.base.tree, "Dockerfile") == b"FROM evil:2\n"
    assert "evil" not in repr(asked.task.image)


def test_the_default_branchs_settings_are_trusted_and_nothing_is_noted_for_the_user(
    origin: Origin, tmp_path: Path
) -> None:
    origin.commit(
        {
            "greenroom.toml": 'setup = ["make tools"]\n',
            ".devcontainer.json": '{"image": "debian:12"}',
        }
    )
    place = find(origin.forge, trigger())
    place.fetch(tmp_path / "got", "", "x")
    request = Request(tmp_path / "got", pin=place.pin())
    settings = settings_of(request, print)
    assert settings["setup"] == ("make tools",)
    task = task_of(request, settings, TreeStore.create(tmp_path / "trees.git")).task
    assert task.image.base == "debian:12"
    assert not trust.distrust(tmp_path / "got")
    # The same file, where it is a stranger's, sets nothing.
    settings = settings_of(Request(tmp_path / "got", pin=place.pin(trusted=False)), lambda _: None)
    assert settings["setup"] == ()


def test_the_summary_is_that_of_the_models_last_words() -> None:
    seen = Seen()
    turn = {"type": "turn", "message": {"text": "On the way.", "reasoning": ""}}
    seen(turn)
    assert seen.summary() == "On the way."
    for arguments in ('{"summary": " Done. "}', '{"summary": 3}', "[1]", "{"):
        seen({"type": "call", "name": "finish", "arguments": arguments})
    assert seen.summary() == "Done."
    seen({"type": "delta", "text": "x"})
    assert len(seen.events) == 5


def test_a_review_is_told_with_its_places(origin: Origin) -> None:
    from agent.bot.instruction import instruction

    text = instruction(trigger(review=4), lambda path: None, (), [Remark("a.py", 3, "Use sum.")])
    assert "- a.py, line 3: Use sum." in text


def test_the_proposal_is_json_that_the_next_job_reads(origin: Origin, made: Made) -> None:
    made.of(origin, trigger(place=origin.pull_of("1" * 40)), {})
    assert json.loads((made.folder / "proposal.json").read_text())["status"] == "broken"
