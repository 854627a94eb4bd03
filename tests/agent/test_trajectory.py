import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import trajectory
from agent.trajectory import Recorder
from sandbox.errors import UsageError

STARTED: dict[str, Any] = {
    "run": "r",
    "greenroom": "0",
    "task": {},
    "model": {},
    "sampling": {},
    "limits": {},
    "settings": {},
}
TURN: dict[str, Any] = {"usage": {"input_tokens": 3}, "seconds": 1.5, "cost": None}


def begin(path: Path, **more: Any) -> Recorder:
    recorder = Recorder(path, **more)
    recorder.emit("run.started", **STARTED)
    recorder.emit("epoch", reason="start", messages=[{"role": "user"}], by_products=["x"])
    return recorder


def turn(recorder: Recorder, number: int) -> None:
    recorder.emit("turn.started", turn=number)
    recorder.emit("message", message={"role": "assistant", "number": number})
    recorder.emit("turn.ended", turn=number, tree=f"tree{number}", **TURN)


def history(path: Path) -> trajectory.History:
    return trajectory.history(trajectory.read(path), path)


def test_events_are_numbered_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    begin(path).close()
    events = trajectory.read(path)
    assert [event["seq"] for event in events] == [1, 2]
    assert all(event["v"] == trajectory.VERSION and event["time"] for event in events)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_field_that_the_schema_does_not_know_is_refused(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match="fields missing or unknown: txt"):
        recorder.emit("note", text="a", txt="b")
    with pytest.raises(ValueError, match="fields missing or unknown: text"):
        recorder.emit("note")
    with pytest.raises(KeyError):
        recorder.emit("nonsense")


def test_live_events_reach_listeners_and_not_the_log(tmp_path: Path) -> None:
    seen: list[str] = []
    recorder = Recorder(tmp_path / "t.jsonl", listeners=[lambda event: seen.append(event["type"])])
    recorder.emit("delta", kind="text", text="a")
    recorder.emit("note", text="b")
    recorder.close()
    assert seen == ["delta", "note"]
    assert [event["type"] for event in trajectory.read(tmp_path / "t.jsonl")] == ["note"]


def test_a_secret_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    seen: list[str] = []
    secret = 'sk-"quoted"-1234'
    recorder = Recorder(
        path, secrets=[secret], listeners=[lambda event: seen.append(event["text"])]
    )
    recorder.emit("note", text=f"the key is {secret}.")
    recorder.close()
    assert trajectory.read(path)[0]["text"] == "the key is [redacted]."
    assert seen == ["the key is [redacted]."]


def test_history_stops_at_the_last_complete_turn(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    recorder = begin(path)
    turn(recorder, 1)
    recorder.emit("turn.started", turn=2)
    recorder.emit("message", message={"role": "assistant", "number": 2})
    recorder.close()
    found = history(path)
    assert found.turn == 1
    assert found.tree == "tree1"
    assert [m.get("number") for m in found.messages] == [None, 1]
    assert found.by_products == ("x",)
    assert found.seconds == pytest.approx(1.5, abs=1)


def at(second: int, type: str, **fields: Any) -> dict[str, Any]:
    moment = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=second)
    return {"v": 1, "seq": second + 1, "time": moment.isoformat(), "type": type, **fields}


def test_what_interrupted_turns_cost_is_carried_on(tmp_path: Path) -> None:
    begun = at(0, "run.started", **STARTED)
    first = at(10, "turn", usage={"input_tokens": 100})
    done = at(
        12, "turn.ended", turn=1, tree="t", usage={"input_tokens": 100}, seconds=11, cost=None
    )
    lost = at(15, "turn", usage={"input_tokens": 250})
    cut = at(17, "call")
    resumed = at(9_000, "resumed", after=13, turn=1)
    again = at(9_004, "turn", usage={"input_tokens": 400})
    found = trajectory.history([begun, first, done, lost, cut, resumed, again], tmp_path)
    assert found.turn == 1
    assert found.usage == {"input_tokens": 400}
    assert found.seconds == 11 + 5 + 4


def test_the_time_until_a_patch_is_applied_counts_for_nothing(tmp_path: Path) -> None:
    begun = at(0, "run.started", **STARTED)
    done = at(10, "turn.ended", turn=1, tree="t", usage={}, seconds=9, cost=None)
    ended = at(11, "run.ended", status="solved", reason="")
    applied = at(5_000, "applied", how="apply", where="/")
    assert trajectory.history([begun, done, ended, applied], tmp_path).seconds == 9


def test_a_run_interrupted_before_its_first_turn_has_its_opening(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    recorder = begin(path)
    recorder.emit("turn.started", turn=1)
    recorder.close()
    found = history(path)
    assert (found.turn, found.tree, len(found.messages)) == (0, None, 1)


def test_what_came_after_the_resumed_turn_is_void(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    recorder = begin(path)
    turn(recorder, 1)
    after = recorder.sequence
    recorder.emit("message", message={"role": "assistant", "number": 99})
    recorder.emit("resumed", after=after, turn=1)
    turn(recorder, 2)
    recorder.close()
    assert [m.get("number") for m in history(path).messages] == [None, 1, 2]


def test_an_epoch_replaces_the_messages_before_it(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    recorder = begin(path)
    turn(recorder, 1)
    recorder.emit("epoch", reason="circles", messages=[{"role": "user", "number": 7}])
    turn(recorder, 2)
    recorder.close()
    assert [m["number"] for m in history(path).messages] == [7, 2]


def test_answers_of_epochs_long_past_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    recorder = begin(path)
    answer = {"message": {"role": "assistant"}, "usage": {}}
    cut = dict.fromkeys(("reason", "detail", "tokens", "kept", "saved"), 0)
    for way in ("asked", "closed"):
        recorder.emit("cut", turn=1, way=way, **cut)
    recorder.emit("turn", turn=1, finish="stop", **answer)
    recorder.emit("checkpoint", turn=1, problem="", **answer)
    recorder.emit("epoch", reason="context", messages=[])
    turn(recorder, 1)
    recorder.emit("turn", turn=2, finish="stop", **answer)
    recorder.close()
    assert history(path).answers == 3


@given(st.data())
def test_a_log_cut_at_any_byte_is_read_up_to_its_last_whole_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "t.jsonl"
    recorder = begin(path)
    turn(recorder, 1)
    turn(recorder, 2)
    recorder.close()
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    lines = whole[:cut].count(b"\n")
    assert len(trajectory.read(path)) == lines
    again = Recorder(path)
    again.emit("note", text="after")
    again.close()
    events = trajectory.read(path)
    assert [event["seq"] for event in events] == list(range(1, lines + 2))
    assert events[-1]["text"] == "after"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_clearly_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "t.jsonl"
    path.write_bytes(content)
    try:
        trajectory.read(path)
    except UsageError as error:
        assert str(path) in error.message


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"v": 99, "seq": 1, "type": "note"}) + "\n")
    with pytest.raises(UsageError, match="version 99 of the format; this is 1"):
        trajectory.read(path)


def test_a_run_that_never_began_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("")
    with pytest.raises(UsageError, match="stopped before it began"):
        history(path)
