from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agent import trajectory
from agent.budget import Ledger, Limits, Plan
from agent.cli.console import Console
from agent.cli.view import LiveView
from agent.conversation import AssistantMessage, Conversation, ToolCall, ToolSpec, UserMessage
from agent.models.base import (
    Event,
    Malformed,
    MalformedKind,
    Model,
    ModelInfo,
    ReasoningDelta,
    Sampling,
    TextDelta,
    TurnDone,
    Usage,
)
from agent.models.scripted import open_script
from agent.retrying import RetriedModel, retries_of
from agent.trajectory import Recorder
from agent.turn import Exhausted, TurnTaker
from tests.agent.models.asking import model as served
from tests.agent.test_trajectory import STARTED
from tests.faults.server import FaultServer, Reply, answer, call, delta, sse, usage
from tools.tool import Toolbox
from tools.toolsets import toolset

TASK: Conversation = (UserMessage("Fix it."),)
TOOLBOX = Toolbox(toolset("generic").tools)
COST = Usage(100, 10)


def turn(text: str = "", *calls: tuple[str, str], kind: MalformedKind | None = None) -> TurnDone:
    made = tuple(ToolCall(f"c{n}", name, given) for n, (name, given) in enumerate(calls))
    problem = "" if text or calls else "Your answer was empty."
    return TurnDone(AssistantMessage(text, "Hm.", made), COST, problem=problem, kind=kind)


NO_CHANNEL = turn("??", kind="channel")
NO_TOOL = turn("", ("python", "{}"))
NO_JSON = turn("", ("shell", "ls -la"))
SOUND = turn("", ("shell", '{"command": "ls"}'))
FENCED = turn("", ("functions.shell", '```json\n{"command": "ls"}\n```'))


class Slipping(Model):
    """Gives one turn after the other, and keeps what it was asked."""

    def __init__(self, *turns: TurnDone) -> None:
        self.info = ModelInfo("slipping", "test")
        self.turns = list(turns)
        self.asked: list[tuple[Conversation, Sampling]] = []

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        self.asked.append((list(conversation), sampling))
        done = self.turns.pop(0)
        yield ReasoningDelta(done.message.reasoning)
        if done.message.text:
            yield TextDelta(done.message.text)
        yield done


async def events_of(
    model: Model,
    retries: int = 10,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
) -> tuple[list[Malformed], TurnDone]:
    retried = RetriedModel(model, TOOLBOX, retries)
    async with aclosing(retried.generate(TASK, TOOLBOX.specs, sampling)) as stream:
        events = [event async for event in stream]
    done = events[-1]
    assert isinstance(done, TurnDone)
    return [event for event in events if isinstance(event, Malformed)], done


async def test_each_kind_of_slip_is_asked_again_from_the_same_prompt() -> None:
    model = Slipping(NO_CHANNEL, NO_TOOL, NO_JSON, turn(), SOUND)
    slips, done = await events_of(model)
    assert [slip.kind for slip in slips] == ["channel", "tool", "arguments", "neither"]
    assert [slip.attempt for slip in slips] == [1, 2, 3, 4]
    assert done.message == SOUND.message
    assert (done.problem, done.kind, done.malformed) == ("", None, tuple(slips))
    assert all(conversation == list(TASK) for conversation, _ in model.asked)


async def test_what_can_be_made_out_is_no_slip() -> None:
    for sound in (SOUND, FENCED, turn("Done."), turn("", ("shell", "{}"))):
        assert (await events_of(Slipping(sound))) == ([], sound)


async def test_at_the_bound_the_turn_is_given_as_it_is() -> None:
    slips, done = await events_of(Slipping(NO_TOOL, NO_TOOL, NO_TOOL, SOUND), retries=2)
    assert len(slips) == 2
    assert (done.message, done.kind) == (NO_TOOL.message, "tool")
    slips, done = await events_of(Slipping(turn()), retries=0)
    assert (slips, done.problem, done.kind) == ([], "Your answer was empty.", "neither")


@pytest.mark.parametrize("finish", ["length", "cut"])
async def test_what_was_cut_off_is_not_asked_again(finish: Any) -> None:
    cut = TurnDone(AssistantMessage("a"), COST, finish, "You were cut off.")
    assert (await events_of(Slipping(cut)))[0] == []


async def test_headers_that_go_wrong_twice_are_cooled_once() -> None:
    model = Slipping(NO_CHANNEL, NO_CHANNEL, NO_CHANNEL, NO_CHANNEL, SOUND)
    await events_of(model, sampling=Sampling(temperature=None, seed=7))
    assert [sampling.temperature for _, sampling in model.asked] == [None, None, 0.6, None, None]
    assert len({sampling.seed for _, sampling in model.asked}) == 5
    model = Slipping(NO_CHANNEL, NO_TOOL, NO_CHANNEL, SOUND)
    await events_of(model)
    assert {sampling.temperature for _, sampling in model.asked} == {None}


def test_how_often_is_the_users_or_the_models_to_say(tmp_path: Path) -> None:
    model = Slipping()
    assert retries_of(model, Plan()) == 2
    assert retries_of(model, Plan(malformed_retries=5)) == 5
    assert retries_of(model, Plan(sampling=Sampling(temperature=0.0), malformed_retries=5)) == 0
    script = tmp_path / "script.json"
    script.write_text("[]")
    assert retries_of(open_script(str(script)), Plan()) == 0
    recorder = Recorder(tmp_path / "log.jsonl")
    recorder.emit("run.started", **STARTED)
    recorder.close()
    script = tmp_path / "log.jsonl"
    assert retries_of(open_script(str(script)), Plan(malformed_retries=5)) == 0


async def test_candidates_that_are_samples_are_each_tried_again() -> None:
    model = RetriedModel(Slipping(NO_TOOL, SOUND, turn("Done.")), TOOLBOX, 3)
    made = [done async for done in model.candidates(TASK, TOOLBOX.specs, Sampling(), 2)]
    assert [done.message for done in made] == [SOUND.message, turn("Done.").message]
    assert [done.usage.total_tokens for done in made] == [220, 110]
    assert [len(done.malformed) for done in made] == [1, 0]


class Ranking(Slipping):
    """Has candidates of its own."""

    async def candidates(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling, count: int
    ) -> AsyncGenerator[TurnDone, None]:
        for done in self.turns:
            yield done


async def test_a_models_own_candidates_that_are_malformed_are_passed_over() -> None:
    model = RetriedModel(Ranking(NO_TOOL, NO_CHANNEL, SOUND, NO_JSON, FENCED), TOOLBOX, 3)
    made = [done async for done in model.candidates(TASK, TOOLBOX.specs, Sampling(), 5)]
    assert [done.message for done in made] == [SOUND.message, FENCED.message]
    assert [[each.kind for each in done.malformed] for done in made] == [
        ["tool", "channel"],
        ["arguments"],
    ]
    assert sum(done.usage.total_tokens for done in made) == 5 * COST.total_tokens


async def test_where_all_candidates_are_malformed_the_last_is_given() -> None:
    model = RetriedModel(Ranking(NO_CHANNEL, NO_TOOL), TOOLBOX, 3)
    [done] = [done async for done in model.candidates(TASK, TOOLBOX.specs, Sampling(), 5)]
    assert (done.message, done.kind) == (NO_TOOL.message, "tool")
    assert [each.kind for each in done.malformed] == ["channel"]
    assert done.usage.total_tokens == 2 * COST.total_tokens


# In the turn of an attempt.


def taker(model: Model, log: Path, tokens: int = 10_000) -> tuple[TurnTaker, Recorder, Ledger]:
    recorder, ledger = Recorder(log), Ledger(Limits(turns=1, tokens=tokens), None)
    ledger.turns = 1
    retried = RetriedModel(model, TOOLBOX, 10)
    return TurnTaker(retried, TOOLBOX, Sampling(), recorder, ledger), recorder, ledger


async def test_slips_are_counted_by_kind_and_recorded_and_cost(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    taking, recorder, ledger = taker(Slipping(NO_CHANNEL, NO_CHANNEL, turn(), SOUND), log)
    recorder.emit("run.started", **STARTED)
    done = await taking.stream(TASK)
    taking.record(done)
    recorder.close()
    assert ledger.tokens == 440
    assert ledger.malformed == {"channel": 2, "neither": 1}
    events = trajectory.read(log)
    assert [event["type"] for event in events[1:]] == ["malformed"] * 3 + ["turn"]
    assert events[1]["message"]["text"] == "??"
    assert [event["usage"]["input_tokens"] for event in events[1:]] == [100, 200, 300, 400]
    history = trajectory.history(events, log)
    assert history.malformed == {"channel": 2, "neither": 1}
    # Killed amid the tries, it has spent what they cost.
    assert trajectory.history(events[:3], log).usage["input_tokens"] == 200
    # A script of the record plays what counted.
    played = open_script(str(log))
    answers = [event async for event in played.generate(TASK, [], Sampling())]
    assert isinstance(answers[-1], TurnDone)
    assert answers[-1].message == SOUND.message


async def test_a_budget_holds_amid_the_tries_of_a_turn(tmp_path: Path) -> None:
    model = Slipping(*[NO_CHANNEL] * 9)
    taking, recorder, ledger = taker(model, tmp_path / "log.jsonl", tokens=300)
    with pytest.raises(Exhausted, match="token limit of 300 reached, in the middle of a turn"):
        await taking.stream(TASK)
    recorder.close()
    assert (len(model.asked), ledger.tokens) == (3, 330)


async def test_a_cut_of_a_try_that_did_not_count_is_not_played_again(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    cut = {"reason": "loop", "detail": "d", "tokens": 9, "kept": 1, "saved": None, "way": "asked"}
    message = {"role": "assistant", "text": "", "reasoning": "", "calls": [], "token_ids": []}
    message["log_probabilities"] = []
    recorder = Recorder(log)
    recorder.emit("run.started", **STARTED)
    recorder.emit("cut", turn=1, **cut, thought=message, steering="Stop.")
    recorder.emit(
        "malformed", turn=1, kind="empty", problem="p", message=message, usage={}, attempt=1
    )
    recorder.emit("turn", turn=1, message=message | {"text": "Done."}, usage={}, finish="stop")
    recorder.close()
    answers = [event async for event in open_script(str(log)).generate(TASK, [], Sampling())]
    assert isinstance(answers[-1], TurnDone)
    assert (answers[-1].message.text, answers[-1].cuts) == ("Done.", ())


def test_the_view_says_what_was_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    LiveView(Console())({"type": "malformed", "kind": "channel"})
    shown = "".join(capsys.readouterr())
    assert "a message of no known channel; the turn is asked for again" in shown


# Over HTTP.


async def test_a_server_that_loses_an_answer_is_asked_again() -> None:
    lost = Reply([sse(delta(finish="stop"), usage(11, 3), "[DONE]")])
    unknown = answer("", call("python", {}))
    async with FaultServer(lost, unknown, answer("", call("shell", {"command": "ls"}))) as server:
        opened = served(server)
        slips, done = await events_of(opened, retries_of(opened, Plan()))
        await opened.close()
    assert [slip.kind for slip in slips] == ["empty", "tool"]
    assert slips[0].usage.output_tokens == 3
    assert [made.name for made in done.message.calls] == ["shell"]
    bodies = [request.json for request in server.requests]
    assert bodies[0] == bodies[1] == bodies[2]
