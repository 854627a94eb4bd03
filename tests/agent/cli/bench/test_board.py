import pytest

from agent.bench.record import Result
from agent.cli.bench.board import Board
from agent.cli.console import Console


@pytest.mark.parametrize(("turns", "said"), [(1, "1 turn,"), (2, "2 turns,")])
def test_turns_are_counted_in_words(
    turns: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Board(Console()).ended(Result("a", 1, "failed", turns=turns, seconds=1.0))
    assert said in "".join(capsys.readouterr())
