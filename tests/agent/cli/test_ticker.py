import pytest

from agent.cli.console import Console
from agent.cli.ticker import EVERY, Ticker, told
from tasks.tally import TestProgress


def progress(seconds: float, **more: int) -> TestProgress:
    return TestProgress(seconds, more.get("done", 0), more.get("failing", 0), 900, "t.py::test_y")


def test_a_run_is_told_in_a_line() -> None:
    assert told(progress(12, done=412, failing=3)) == (
        "412 of 900 tests, 3 failing, 12 s: t.py::test_y"
    )
    assert told(TestProgress(2.5, 0, 0, None, "")) == "2.5 s"


def test_where_there_is_no_terminal_a_line_comes_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ticker = Ticker(Console())
    for second in range(1, 41):
        ticker(progress(second))
    assert len(capsys.readouterr().out.splitlines()) == 2
    ticker(progress(1))  # another run: its own time counts
    for second in (2, EVERY, EVERY + 1):
        ticker(progress(second))
    assert len(capsys.readouterr().out.splitlines()) == 1
