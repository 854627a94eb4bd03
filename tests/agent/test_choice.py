"""What is said of a model before an attempt with it begins."""

import pytest

from agent.choice import warn_of_window
from agent.models.base import ModelInfo


@pytest.mark.parametrize(
    ("window", "real", "said"),
    [(4096, True, 1), (8192, True, 0), (None, True, 0), (4096, False, 0)],
)
def test_a_context_without_use_is_said(window: int | None, real: bool, said: int) -> None:
    notes: list[str] = []

    def say(text: str, *, always: bool = False) -> None:
        notes.append(text)

    warn_of_window(ModelInfo("m", "openai", context_window=window, real=real), say)
    assert len([note for note in notes if f"{window:,} tokens" in note]) == said == len(notes)
