"""Whole runs in this process, in real sandboxes."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.bench import runner as runners
from agent.bench import sitting as sittings
from agent.bench.job import Job
from agent.bench.selection import Selection
from agent.bench.sitting import Wish
from agent.models.base import ContextOverflow, Model, Unanswered
from sandbox.engine import Engine
from sandbox.errors import UsageError
from sandbox.image import Image
from sandbox.leftovers import OWNER_LABEL, this_process
from tasks.suites.suite import Unsupported
from tests.agent.running.kept import Kept, Mender, results, sit
from tests.agent.running.played import Onlooker

pytestmark = pytest.mark.docker
Keep = Callable[..., Kept]


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch, image: Image, tmp_path: Path) -> Keep:
    """Makes a suite the one that is found, and a model the one that is chosen."""
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setattr(runners, "WAITS", (0.0, 0.0, 0.0))

    def make(
        *names: str,
        model: Model | None = None,
        gold: dict[str, bytes | None] | None = None,
        **bad: Exception,
    ) -> Kept:
        suite = Kept({**dict.fromkeys(names), **bad}, gold or {})
        monkeypatch.setattr(sittings.suites, "find", lambda _: suite)

        async def choose(*_: object) -> Model:
            assert model
            return model

        monkeypatch.setattr(sittings, "choose_model", choose)
        return suite

    return make


async def test_gold_verifies_and_each_fault_of_a_task_stays_its_own(
    keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    foreign = Unsupported("it needs a service that runs on")
    suite = keep("good", "none", "torn", "bad", gold={"none": None, "torn": torn}, foreign=foreign)
    gold, folder = suite.gold, tmp_path / "run"

    def fails(name: str) -> bytes | None:
        if name == "bad":
            raise KeyError(name)
        return gold(name)

    monkeypatch.setattr(suite, "gold", fails)
    done = await sit(Wish("kept", "gold", folder=folder))
    found = {task: result for (task, _), result in results(folder).items()}
    assert {task: result.status for task, result in found.items()} == {
        "good": "solved",
        "none": "unsupported",
        "torn": "invalid patch",
        "bad": "infrastructure failed",
        "foreign": "unsupported",
    }
    assert found["good"].grade == "proved"
    assert found["good"].patch_bytes > 100
    assert found["good"].verify_seconds > 0
    assert "a service that runs on" in found["foreign"].reason
    assert "KeyError" in found["bad"].reason
    assert "fails" in (folder / "attempts/bad/1/error.txt").read_text()
    assert done.tally.solved == 1
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["id"] for entry in manifest["images"].values() if entry["base"]]
    assert manifest["tasks"].keys() == found.keys()


async def test_a_suite_that_cannot_be_read_is_no_run(keep: Keep, tmp_path: Path) -> None:
    keep("good", broken=UsageError("no such thing"))
    with pytest.raises(UsageError, match="no such thing"):
        await sit(Wish("kept", "gold", folder=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


async def test_attempts_are_solved_side_by_side_with_seeds_of_their_own(
    keep: Keep, tmp_path: Path
) -> None:
    model = Mender()
    keep("one", model=model)
    folder = tmp_path / "run"
    wish = Wish("kept", attempts=2, folder=folder, flags={"seed": 7}, selection=Selection(seed=7))
    done = await sit(wish)
    found = results(folder)
    assert {result.status for result in found.values()} == {"solved"}
    assert set(found) == {("one", 1), ("one", 2)}
    assert sorted(model.seeds, key=str) == [7, 8]
    assert done.tally.tokens == 2 * 1050
    assert done.tally.cost == pytest.approx(2 * 1050 / 1e6)
    assert found["one", 1].turns == 1
    assert (folder / found["one", 1].folder / "trajectory.jsonl").is_file()
    log = folder / "results.jsonl"
    log.write_text(log.read_text() + log.read_text())
    again = await sit(wish)
    assert again.done_before == again.tally.done == 2, "a line that is there twice counts once"
    assert len(model.seeds) == 2
    with pytest.raises(UsageError, match=r"sampling.seed is 7, and now it is 8"):
        await sit(Wish("kept", attempts=2, folder=folder, flags={"seed": 8}))


async def test_a_server_that_was_away_is_asked_again_and_what_the_model_fails_at_is_not(
    keep: Keep, tmp_path: Path
) -> None:
    def trouble(_task: str, turn: int) -> None:
        if turn <= 2:
            raise Unanswered("nothing answers at its address")
        raise ContextOverflow("the conversation does not fit")

    model, onlooker = Mender(trouble), Onlooker()
    keep("one", model=model)
    await sit(Wish("kept", folder=tmp_path / "run"), onlooker)
    result = results(tmp_path / "run")["one", 1]
    assert result.status == "no patch"
    assert result.retries == 2
    assert "does not fit" in result.reason
    assert onlooker.of("retried") == ["one", "one"]


async def test_a_sandbox_that_is_killed_is_opened_again_at_the_turn_that_was_lost(
    keep: Keep, tmp_path: Path, engine: Engine
) -> None:
    own = f"{OWNER_LABEL}={this_process().label()}"

    def trouble(_task: str, turn: int) -> None:
        if turn > 1:
            raise ContextOverflow("the conversation does not fit")
        for container in engine.api.containers(filters={"label": own}):
            engine.api.kill(container["Id"])

    onlooker = Onlooker()
    keep("one", model=Mender(trouble))
    await sit(Wish("kept", folder=tmp_path / "run"), onlooker)
    result = results(tmp_path / "run")["one", 1]
    assert onlooker.of("retried") == ["one"]
    assert (result.status, result.retries, result.turns) == ("no patch", 1, 0)


async def test_a_result_that_was_not_logged_is_read_from_the_attempt(
    keep: Keep, tmp_path: Path
) -> None:
    keep("one")
    folder = tmp_path / "run"
    await sit(Wish("kept", "empty", folder=folder))
    [before] = results(folder).values()
    events = (folder / before.folder / "trajectory.jsonl").read_bytes()
    (folder / "results.jsonl").write_text('{"v":1,"task":"one","att')  # killed while it wrote
    await sit(Wish("kept", "empty", folder=folder))
    assert list(results(folder).values()) == [before]
    assert (folder / before.folder / "trajectory.jsonl").read_bytes() == events
    log = folder / before.folder / "trajectory.jsonl"
    log.write_bytes(b"\0" * 4096 + b"\n")  # as a power cut may leave it
    (folder / "results.jsonl").unlink()
    await sit(Wish("kept", "empty", folder=folder))
    assert [result.status for result in results(folder).values()] == ["failed"]
    assert (log.parent / "damaged.jsonl").stat().st_size == 4097
    assert before.status == "failed"
    assert before.tests_failing == ("test_calc.py::test_add",)


async def test_a_folder_is_worked_on_by_one_process_only_and_holds_nothing_else(
    keep: Keep, tmp_path: Path
) -> None:
    keep("one")
    folder, onlooker = tmp_path / "run", Onlooker()
    refused: list[asyncio.Task[object]] = []

    def another(what: str, _task: str) -> None:
        if what == "started":
            refused.append(asyncio.create_task(sit(Wish("kept", "empty", folder=folder))))

    onlooker.at = another
    await sit(Wish("kept", "empty", folder=folder), onlooker)
    with pytest.raises(UsageError, match="worked on by another process"):
        await refused[0]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no benchmark run"):
        await sit(Wish("kept", "empty", folder=tmp_path / "full"))


@pytest.mark.parametrize("below", ["", "run"])
async def test_a_file_is_no_place_for_a_run(keep: Keep, tmp_path: Path, below: str) -> None:
    keep("one")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="cannot be a folder"):
        await sit(Wish("kept", "empty", folder=tmp_path / "file" / below))


def test_a_job_can_be_sent_elsewhere() -> None:
    job = Job("starter", "a", 2, "model", "/runs/a/2", {"seed": 1, "temperature": 0.5}, 3)
    assert Job.from_dict(json.loads(json.dumps(job.as_dict()))) == job
