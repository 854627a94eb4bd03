from typing import Any

import pytest

from agent.cli.console import Console
from agent.cli.view import LiveView

EPOCH: dict[str, Any] = {
    "type": "epoch",
    "reason": "context",
    "messages": [],
    "before": 88_500,
    "after": 49_000,
    "shrunk": {"results": 12, "reasoning": 1},
}


def shown(capsys: pytest.CaptureFixture[str], event: dict[str, Any]) -> str:
    LiveView(Console())(event)
    return "".join(capsys.readouterr()).strip()


def test_an_epoch_says_why_it_began_and_what_was_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, EPOCH) == (
        "the conversation fills the model's context: cut from about 88,500 to 49,000 tokens;"
        " 12 results, 1 turn's reasoning cut"
    )


def test_it_says_when_the_model_s_notes_stand_for_turns(capsys: pytest.CaptureFixture[str]) -> None:
    more = {"reason": "overflow", "shrunk": {"turns": 1}, "checkpoint": "Files: a.py"}
    assert shown(capsys, {**EPOCH, **more}) == (
        "the conversation is too long for the model: cut from about 88,500 to 49,000 tokens;"
        " 1 old turn left out; the model's notes stand for what is gone"
    )


def test_an_epoch_of_an_older_log_and_the_first_one(capsys: pytest.CaptureFixture[str]) -> None:
    old = {"type": "epoch", "reason": "context", "messages": []}
    assert shown(capsys, old) == "the conversation fills the model's context: a new start"
    assert shown(capsys, {**old, "reason": "start"}) == ""
    assert shown(capsys, {**old, "reason": "circles"}) == "the work goes in circles: a new start"


def test_notes_that_cannot_be_used_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"type": "checkpoint", "turn": 3, "usage": {}, "message": {"text": "x"}}
    assert shown(capsys, {**event, "problem": ""}) == ""
    said = shown(capsys, {**event, "problem": "they were cut off"})
    assert said == "the model's notes cannot be used: they were cut off"
