import json
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agent import trajectory
from agent.budget import Ledger, Limits
from agent.conversation import AssistantMessage, UserMessage
from agent.models.base import Event, Model, ReasoningCut, ReasoningDelta, Sampling, TurnDone
from agent.models.scripted import open_script
from agent.monitor import Bounds, Cut, Judge, Keep, Monitor, Steer
from agent.trajectory import Recorder
from agent.turn import TurnTaker
from agent.watching import WatchedModel
from tests.agent.models.asking import SHELL, TASK, model
from tests.agent.test_monitor import TRACES
from tests.agent.test_trajectory import STARTED
from tests.faults.server import FaultServer, Reply, Step, answer, call, delta, sse, usage
from tools.tool import Toolbox

SOUND = TRACES[3].read_text("utf-8")
LOOP = "Maybe the test is wrong, so I look at the test again. "
ACTS = answer("", call("shell", {"command": "ls"}))


def thinking(text: str, *rest: object, pause: float = 0.0) -> Reply:
    """Reasoning a token at a time, four characters each, and then what else is given."""
    steps: list[Step] = []
    for place in range(0, len(text), 4):
        steps.append(sse(delta(reasoning=text[place : place + 4])))
        if pause:
            steps.append(pause)
    return Reply([*steps, sse(*rest, delta(finish="stop"), usage(11, 3), "[DONE]")])


def looping(pause: float = 0.0) -> Reply:
    return thinking(SOUND + LOOP * 100, pause=pause)


async def events_of(
    opened: Model,
    bounds: Bounds = Bounds(),  # noqa: B008 - frozen
    judge: Judge | None = None,
    *,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    loops: int = 0,
) -> list[Event]:
    watched = WatchedModel(opened, Monitor(bounds, judge), loops=loops)
    try:
        async with aclosing(watched.generate(TASK, [SHELL], sampling)) as events:
            return [event async for event in events]
    finally:
        await opened.close()


def cuts_of(events: Sequence[Event]) -> list[ReasoningCut]:
    return [event for event in events if isinstance(event, ReasoningCut)]


def end_of(events: Sequence[Event]) -> TurnDone:
    done = events[-1]
    assert isinstance(done, TurnDone)
    return done


def thought(events: Sequence[Event]) -> int:
    return sum(isinstance(event, ReasoningDelta) for event in events)


async def test_a_loop_is_cut_at_the_server_and_the_turn_goes_on_to_a_call() -> None:
    async with FaultServer(looping(pause=0.002), ACTS) as server:
        events = await events_of(model(server, "vllm:m"))
    done = end_of(events)
    assert [c.name for c in done.message.calls] == ["shell"]
    [cut] = cuts_of(events)
    assert (cut.reason, cut.way) == ("loop", "asked")
    # One delta was one token.
    assert thought(events) - len(SOUND) / 4 <= 300
    assert cut.kept < cut.tokens <= thought(events)
    assert cut.saved is not None
    assert cut.saved > 100_000
    assert server.aborted == 1
    [kept, steering] = done.before
    assert isinstance(kept, AssistantMessage)
    assert (SOUND + LOOP * 2).startswith(kept.reasoning)
    assert kept.reasoning.startswith(SOUND)
    assert steering == UserMessage(cut.steering, "steering")
    *_, sent, told = server.requests[1].json["messages"]
    assert (sent["role"], sent["reasoning"]) == ("assistant", kept.reasoning)
    assert told["role"] == "user"
    assert told["content"].startswith("Stop thinking now")
    # What was broken off was paid for.
    assert done.usage.abandoned_tokens > cut.tokens
    assert done.cuts == (cut,)


@pytest.mark.parametrize(
    ("window", "limit", "most"), [(8192, None, 8192), (8192, 1000, 1000), (None, 1000, 1000)]
)
async def test_no_more_is_saved_than_the_window_and_the_limit_leave(
    window: int | None, limit: int | None, most: int
) -> None:
    async with FaultServer(thinking(LOOP * 100), ACTS) as server:
        opened = model(server, "vllm:m", context_window=window)
        events = await events_of(opened, sampling=Sampling(max_output_tokens=limit))
    [cut] = cuts_of(events)
    assert cut.saved is not None
    assert 0 < cut.saved <= most - cut.tokens


async def test_sound_reasoning_is_left_alone() -> None:
    text = "\n".join(path.read_text("utf-8") for path in TRACES)
    async with FaultServer(thinking(text, call("shell", {}))) as server:
        events = await events_of(model(server))
    assert not cuts_of(events)
    done = end_of(events)
    assert (done.before, done.cuts, done.message.reasoning) == ((), (), text)
    assert len(server.requests) == 1


async def test_who_loops_again_is_told_once_more_and_then_the_turn_is_unusable() -> None:
    async with FaultServer(looping()) as server:
        events = await events_of(model(server))
    done = end_of(events)
    assert [cut.way for cut in cuts_of(events)] == ["asked", "asked", "ended"]
    assert len(server.requests) == 3
    assert (done.finish, done.message.calls) == ("cut", ())
    assert "cut short again and again" in done.problem
    assert done.message.reasoning.startswith(SOUND)
    assert len(done.before) == 4


async def test_an_attempt_that_looped_often_is_not_helped_again() -> None:
    async with FaultServer(looping()) as server:
        events = await events_of(model(server), loops=12)
    assert [cut.way for cut in cuts_of(events)] == ["ended"]
    assert len(server.requests) == 1


async def test_a_judge_steers_with_words_of_its_own() -> None:
    def judge(text: str) -> Keep | Cut | Steer:
        return Steer("The fault is in cart.py.") if len(text) < 2000 else Keep()

    async with FaultServer(thinking(SOUND), ACTS) as server:
        events = await events_of(model(server), judge=judge)
    assert end_of(events).before[1] == UserMessage("The fault is in cart.py.", "steering")
    assert "The fault is in cart.py." in server.requests[1].json["messages"][-1]["content"]


async def test_a_budget_is_kept_and_nothing_is_said_to_be_saved() -> None:
    async with FaultServer(thinking(SOUND), ACTS) as server:
        events = await events_of(model(server), Bounds(limit=100))
    [cut] = cuts_of(events)
    assert (cut.reason, cut.saved) == ("limit", None)
    assert 100 <= cut.tokens < 120


async def test_a_stream_that_broke_off_is_watched_anew() -> None:
    part = LOOP * 9  # not enough to be cut, twice it is
    broken = Reply([sse(delta(reasoning=part)), "close"])
    async with FaultServer(broken, thinking(part, call("shell", {}))) as server:
        events = await events_of(model(server))
    assert not cuts_of(events)
    assert end_of(events).message.reasoning == part


async def test_candidates_are_watched_too() -> None:
    async with FaultServer(looping(), ACTS) as server:
        opened = model(server)
        watched = WatchedModel(opened, Monitor(Bounds()))
        turns = [done async for done in watched.candidates(TASK, [SHELL], Sampling(), 2)]
        await opened.close()
    assert [len(done.cuts) for done in turns] == [1, 0]
    assert [done.finish for done in turns] == ["calls", "calls"]


# The log, and playing it again.


class Told:
    """A log with one turn taken, as the solver takes it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "trajectory.jsonl"
        self.recorder = Recorder(self.path)
        self.dialogue: list[Any] = list(TASK)

    async def take(self, opened: Model, bounds: Bounds = Bounds()) -> TurnDone:  # noqa: B008
        watched = WatchedModel(opened, Monitor(bounds))
        ledger = Ledger(Limits(), None)
        taker = TurnTaker(watched, Toolbox([]), Sampling(), self.recorder, ledger)
        done = await taker.stream(self.dialogue)
        taker.record(done)
        self.dialogue += [*done.before, done.message]
        return done


async def test_a_recorded_cut_is_played_again_as_it_was(tmp_path: Path) -> None:
    first = Told(tmp_path)
    first.recorder.emit("run.started", **STARTED)
    async with FaultServer(looping(), ACTS, ACTS) as server:
        opened = model(server)
        await first.take(opened)
        await first.take(opened)
        await opened.close()
    events = trajectory.read(first.path)
    assert [event["type"] for event in events] == ["run.started", "cut", "turn", "turn"]
    assert events[1]["thought"]["reasoning"] == first.dialogue[len(TASK)].reasoning

    (tmp_path / "again").mkdir()
    again = Told(tmp_path / "again")
    script = open_script(str(first.path))
    await again.take(script)
    # A resumed run opens the script anew, and finds its place by the conversation.
    await again.take(open_script(str(first.path)))
    assert again.dialogue == first.dialogue
    fields = ("type", "turn", "reason", "way", "thought", "steering", "message")
    told = [
        [{name: event.get(name) for name in fields} for event in log]
        for log in (events[1:], trajectory.read(again.path))
    ]
    assert told[0] == told[1]


async def test_what_was_recorded_is_not_watched_anew(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.recorder.emit("run.started", **STARTED)
    written = tmp_path / "script.json"
    written.write_text(json.dumps([{"reasoning": LOOP * 50, "text": "Done."}]))
    done = await told.take(open_script(str(written)), Bounds(loops=False))
    assert done.message.reasoning == LOOP * 50
    (tmp_path / "again").mkdir()
    again = await Told(tmp_path / "again").take(open_script(str(told.path)))
    assert again.message == done.message


async def test_a_written_script_is_watched(tmp_path: Path) -> None:
    written = tmp_path / "script.json"
    written.write_text(json.dumps([{"reasoning": SOUND + LOOP * 50}, {"text": "Done."}]))
    done = await Told(tmp_path).take(open_script(str(written)))
    assert done.message.text == "Done."
    assert len(done.before) == 2


async def test_reasoning_that_a_server_leaves_in_the_text_is_watched_too() -> None:
    text = f"<think>{SOUND}{LOOP * 100}"
    steps = [sse(delta(content=text[place : place + 4])) for place in range(0, len(text), 4)]
    async with FaultServer(Reply([*steps, sse(delta(finish="stop"), "[DONE]")]), ACTS) as server:
        events = await events_of(model(server))
    (cut,) = cuts_of(events)
    assert cut.reason == "loop"
    assert end_of(events).message.calls[0].name == "shell"
