from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.context import ContextShares, Gauge, Marks
from agent.conversation import (
    AssistantMessage,
    Conversation,
    SystemMessage,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.base import Event, Model, ModelInfo, Sampling, TurnDone, Usage
from sandbox.errors import UsageError

SHELL = ToolSpec("shell", "Runs a command.", {"type": "object", "properties": {}})
TASK: Conversation = (SystemMessage("s" * 400), UserMessage("t" * 400))
SHARES = ContextShares()


class Silent(Model):
    """Counts, where it can, and says nothing."""

    def __init__(self, counted: int | None = None) -> None:
        self.info = ModelInfo("silent", "test")
        self.counted = counted

    def count(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        return self.counted

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        raise AssertionError("nobody asks")
        yield


# The marks.


def test_the_answer_keeps_its_room_below_the_window() -> None:
    marks = Marks.of(100_000, SHARES, 20_000, None)
    assert (marks.answer, marks.high, marks.low) == (20_000, 72_000, 40_000)


def test_a_backend_s_bound_counts_as_far_as_it_leaves_a_prompt() -> None:
    assert Marks.of(131_072, SHARES, None, 32_768).answer == 32_768
    assert Marks.of(131_072, SHARES, None, 4_096).answer == 4_096
    assert Marks.of(8_192, SHARES, None, 131_072).answer == 2_048
    assert Marks.of(8_192, SHARES, None, None).answer == 2_048


def test_what_the_user_lets_an_answer_have_is_kept_as_far_as_a_half() -> None:
    assert Marks.of(8_192, SHARES, 3_000, 131_072).answer == 3_000
    assert Marks.of(8_192, SHARES, 8_000, 131_072).answer == 4_096


def test_a_task_beyond_the_high_mark_leaves_room_for_turns_all_the_same() -> None:
    marks = Marks.of(4_096, SHARES, None, None)
    assert marks.high < 3_000 < marks.target(3_000) < 4_096


def test_a_limit_of_output_that_takes_the_window_is_refused() -> None:
    with pytest.raises(UsageError, match="--max-output-tokens 8,192 takes the whole"):
        Marks.of(8_192, SHARES, 8_192, None)


@given(st.integers(512, 2**20), st.integers(0, 2**20), st.integers(1, 2**18) | st.none())
def test_what_is_cut_to_lies_between_the_task_and_the_high_mark(
    window: int, opening: int, bound: int | None
) -> None:
    marks = Marks.of(window, SHARES, None, bound)
    assert 0 < marks.low < marks.high < window - marks.answer <= window
    target = marks.target(opening)
    assert target >= marks.low
    if opening < marks.high - 1:
        assert opening < target < marks.high


@pytest.mark.parametrize(
    ("high", "low"), [(0.5, 0.5), (0.5, 0.45), (0.4, 0.6), (1.1, 0.5), (0.9, 0.0)]
)
def test_marks_that_make_no_sense_are_refused(high: float, low: float) -> None:
    with pytest.raises(UsageError, match="context_low is"):
        ContextShares(high, low).check()


@pytest.mark.parametrize(("high", "low"), [(0.9, 0.5), (1.0, 0.9), (0.3, 0.1)])
def test_other_marks_are_taken(high: float, low: float) -> None:
    ContextShares(high, low).check()


# The count.


def test_without_any_report_tokens_are_four_characters() -> None:
    gauge = Gauge(Silent(), [])
    assert gauge.tokens(TASK) == 2 * (100 + 4)
    assert Gauge(Silent(), [SHELL]).tokens(TASK) > gauge.tokens(TASK)


def test_what_the_backend_reported_counts_and_only_the_rest_is_estimated() -> None:
    gauge = Gauge(Silent(), [SHELL])
    turn = AssistantMessage("a" * 4000)
    gauge.taken(TASK, TurnDone(turn, Usage(1000, 700)))
    assert gauge.tokens((*TASK, turn)) == 1700
    result = ToolMessage("c", "shell", "r" * 4000)
    more = gauge.tokens((*TASK, turn, result)) - 1700
    # It took some 240 by the estimate, and 1000 were reported.
    assert 4000 < more < 5000


def test_messages_of_a_turn_that_was_cut_are_in_its_report() -> None:
    gauge = Gauge(Silent(), [])
    before = (AssistantMessage(reasoning="r" * 400), UserMessage("Stop.", "steering"))
    turn = AssistantMessage("a")
    gauge.taken(TASK, TurnDone(turn, Usage(500, 10), before=before))
    assert gauge.tokens((*TASK, *before, turn)) == 510


def test_an_estimate_of_the_backend_s_is_no_report() -> None:
    gauge = Gauge(Silent(), [])
    before = gauge.tokens(TASK)
    turn = AssistantMessage("a" * 400)
    gauge.taken(TASK, TurnDone(turn, Usage(9000, 700, estimated=True)))
    assert gauge.tokens(TASK) == before


def test_another_conversation_is_estimated_as_the_last_one_was_counted() -> None:
    gauge = Gauge(Silent(), [])
    gauge.taken(TASK, TurnDone(AssistantMessage("a"), Usage(2 * 208, 1)))
    assert gauge.tokens((SystemMessage("s" * 800), *TASK[1:])) == 2 * (204 + 104)


@pytest.mark.parametrize("reported", [0, 10, 10_000_000])
def test_a_report_that_cannot_be_is_not_believed(reported: int) -> None:
    gauge = Gauge(Silent(), [])
    turn = AssistantMessage("a")
    gauge.taken(TASK, TurnDone(turn, Usage(reported, 1)))
    assert gauge.tokens((*TASK, turn)) == 208 + 5


def test_the_model_s_own_count_is_the_best_one_and_teaches_the_estimate() -> None:
    model = Silent()
    gauge = Gauge(model, [])
    assert gauge.exact(TASK) is None
    assert gauge.best(TASK) == 208
    model.counted = 416
    assert gauge.best(TASK) == 416
    assert gauge.of(TASK) == 416
