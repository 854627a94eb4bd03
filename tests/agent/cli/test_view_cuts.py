from typing import Any

import pytest

from agent.cli.console import Console
from agent.cli.view import LiveView

CUT: dict[str, Any] = {
    "type": "cut",
    "turn": 1,
    "reason": "loop",
    "detail": "the same 13 tokens again and again",
    "tokens": 1234,
    "kept": 900,
    "saved": 30000,
    "way": "closed",
}


def shown(capsys: pytest.CaptureFixture[str], **more: Any) -> str:
    LiveView(Console())({**CUT, **more})
    return "".join(capsys.readouterr()).strip()


def test_a_cut_is_one_line_with_what_was_thought_and_saved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert shown(capsys) == (
        "reasoning cut after about 1,234 tokens: the same 13 tokens again and again;"
        " up to 30,000 tokens saved; it has to act now"
    )


def test_nothing_is_said_of_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    line = shown(capsys, saved=None, way="asked")
    assert "saved" not in line
    assert line.endswith("again and again; it is told to act")
