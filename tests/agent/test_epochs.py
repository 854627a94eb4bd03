"""Attempts whose conversations outgrow their model's window, in real sandboxes."""

import json
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import pytest

from agent.conversation import (
    AssistantMessage,
    Conversation,
    Message,
    ToolCall,
    ToolSpec,
    UserMessage,
)
from agent.models.base import (
    ContextOverflow,
    Event,
    Model,
    ModelError,
    ModelInfo,
    Sampling,
    TurnDone,
    Usage,
    conversation_text,
    estimate_tokens,
)
from tests.agent.bench import FILES, Bench, Turn, call, edit
from tests.agent.test_shrinking import check_pairs

pytestmark = pytest.mark.docker

WINDOW = 16_000
BIG = FILES | {"data.txt": "".join(f"line {n} of a long file\n" for n in range(4000))}


def reading(number: int) -> Turn:
    """Some 1,300 tokens of result."""
    lines = {"start_line": number * 200 + 1, "end_line": number * 200 + 180}
    return {"calls": [call("read_file", path="data.txt", **lines)]}


def talking(number: int) -> Turn:
    """Some 1,300 tokens that nothing may cut."""
    said = f"What I found in place {number} is as I thought. " * 110
    return {"text": said, "calls": [call("read_file", path="calc.py", start_line=1 + number)]}


#: Reads until old results have to be cut, fails once, talks until only notes help, reads on until
#: the backend refuses, and mends it.
TURNS = [
    *(reading(n) for n in range(8)),
    edit("a - b", "a * b"),
    *(talking(n) for n in range(5)),
    reading(9),
    reading(10),
    edit("a * b", "a + b"),
]
REFUSED = 15
MARK = "left out to save room"


class Worker(Model):
    """Does `TURNS`, from the one that is number `start` on. It stops at those in `broken`, and
    finds the turn `REFUSED` too long once."""

    def __init__(self, start: int = 0, *, broken: int | None = None) -> None:
        self.info = ModelInfo("worker", "test", real=False, context_window=WINDOW)
        self.number = start
        self.broken = broken
        self.refuses = True
        self.seen: list[tuple[Message, ...]] = []

    def count(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        texts = [conversation_text([message]) for message in conversation]
        return sum(map(estimate_tokens, [*texts, *map(str, tools)]))

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        used = self.count(conversation, tools) or 0
        assert used + (sampling.max_output_tokens or 0) <= WINDOW
        if conversation[-1].text.startswith("This conversation has grown too long"):
            notes = f"Files: calc.py\nNext steps: turn {self.number + 1}."
            yield TurnDone(AssistantMessage(notes), Usage(used, 20))
            return
        self.seen.append(tuple(conversation))
        if self.number == REFUSED and self.refuses:
            self.refuses = False
            raise ContextOverflow("that is too long", "shorten it")
        if self.number == self.broken:
            raise ModelError("the server is gone", "look")
        turn = TURNS[self.number]
        self.number += 1
        calls = tuple(
            ToolCall(f"call{self.number}", made["name"], json.dumps(made["arguments"]))
            for made in turn["calls"]
        )
        yield TurnDone(AssistantMessage(turn.get("text", ""), calls=calls), Usage(used, 20))


def check_seen(seen: Sequence[tuple[Message, ...]]) -> int:
    """What holds of all that the model was shown; how often it was more than a continuation."""
    rewritten = 0
    for before, now in pairwise(seen):
        check_pairs(now)
        rewritten += now[: len(before)] != before
        assert now[:2] == seen[0][:2]
        reports = [m for m in before if isinstance(m, UserMessage) and m.origin == "reflection"]
        assert not reports or reports[-1] in now
    return rewritten


async def test_three_compactions_and_the_right_patch(bench: Bench) -> None:
    worker = Worker()
    outcome = await bench.attempt(bench.task(files=BIG), worker)
    assert outcome.status == "solved"
    assert outcome.patch.paths == ("calc.py",)
    cut, noted, refused = bench.events("epoch")[1:]
    assert [event["reason"] for event in (cut, noted, refused)] == [
        "context",
        "context",
        "overflow",
    ]
    assert cut["shrunk"].keys() == {"results"}
    assert noted["checkpoint"] == "Files: calc.py\nNext steps: turn 14."
    assert noted["shrunk"]["turns"] > 0
    assert refused["after"] < refused["before"]
    assert check_seen(worker.seen) == 3
    # What the model sees no more is whole in the log.
    assert any(MARK in message.text for message in worker.seen[8])
    assert not any(MARK in event["text"] for event in bench.events("result"))
    state = next(m for m in worker.seen[-1] if getattr(m, "origin", "") == "checkpoint")
    assert "+    return a * b" in state.text
    assert "1 of 2 tests fail" in state.text
    assert "<notes>\nFiles: calc.py" in state.text


@pytest.mark.nightly
async def test_a_run_that_breaks_off_at_each_compaction_goes_on_as_if_it_had_not(
    bench: Bench,
) -> None:
    task = bench.task(files=BIG)
    history = None
    for start, broken in ((0, 7), (7, 13), (13, REFUSED)):
        worker = Worker(start, broken=broken)
        with pytest.raises(ModelError, match="is gone"):
            await bench.attempt(task, worker, history=history)
        history = bench.history(task)
        assert history.turn == broken
    last = Worker(REFUSED)
    outcome = await bench.attempt(task, last, history=history)
    assert outcome.status == "solved"
    assert outcome.turns == len(TURNS)
    assert last.seen[1] == worker.seen[-1]
