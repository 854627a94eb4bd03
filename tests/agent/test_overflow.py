from pathlib import Path

import pytest

from agent.conversation import (
    AssistantMessage,
    SystemMessage,
    UserMessage,
)
from agent.models.base import (
    ContextOverflow,
)
from sandbox.errors import SetupError
from tests.agent.desk import DONE, NOTES, TALK, Clerk, Desk, grown, tokens
from tests.agent.models.asking import model
from tests.faults.server import FaultServer, answer, error

# What the backend finds too long.


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("window", [None, 50_000])
async def test_a_backend_that_finds_a_turn_too_long_gets_a_shorter_one(
    tmp_path: Path, counts: bool, window: int | None
) -> None:
    messages = grown(60, **TALK)
    clerk = Clerk(AssistantMessage(NOTES), DONE, window=window, most=5200, counts=counts)
    desk = Desk(tmp_path, clerk, messages)
    assert tokens(messages) > 6000
    assert (await desk.turn()).message is DONE
    [epoch] = desk.events("epoch")
    assert (epoch["reason"], epoch["checkpoint"]) == ("overflow", NOTES)
    # From now on its bound is known, and the mark lies below it.
    desk.dialogue.begin("x", messages)
    desk.model.answers = [AssistantMessage(NOTES), DONE]
    await desk.turn()
    assert desk.events("epoch")[-1]["reason"] == "context"


async def test_a_server_that_refuses_a_conversation_for_its_length_is_asked_for_notes_and_goes_on(
    tmp_path: Path,
) -> None:
    messages = grown(60, **TALK)
    said = "This model's maximum context length is 4096 tokens. However, you requested 7000."
    replies = (error(400, said), answer(NOTES), answer("Done."))
    async with FaultServer(*replies) as server:
        opened = model(server)
        desk = Desk(tmp_path, opened, messages)
        assert (await desk.turn()).message.text == "Done."
        await opened.close()
    whole, asked, shorter = [request.json["messages"] for request in server.requests]
    assert len(whole) > len(asked) > len(shorter)
    assert asked[-1]["content"].startswith("This conversation has grown too long")
    assert NOTES in str(shorter[1]["content"])
    # Users' words that follow each other are one message there.
    assert [message["role"] for message in shorter[:3]] == ["system", "user", "assistant"]
    assert shorter[-1] == whole[-1]


async def test_a_second_time_it_gets_a_still_shorter_one(tmp_path: Path) -> None:
    messages = grown(60, **TALK)
    clerk = Clerk(DONE, most=1200)
    desk = Desk(tmp_path, clerk, messages)
    assert (await desk.turn()).message is DONE
    [first, second] = desk.events("epoch")
    assert first["after"] > 1200 >= second["after"]


async def test_a_backend_that_takes_nothing_ends_with_its_own_words(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Clerk(most=10), grown(60, **TALK))
    with pytest.raises(ContextOverflow, match="too long"):
        await desk.turn()
    assert len(desk.events("epoch")) <= 2


async def test_an_opening_that_is_too_long_for_the_backend_is_not_tried_again(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path, Clerk(most=1), grown(0))
    with pytest.raises(ContextOverflow):
        await desk.turn()
    assert len(desk.model.asked) == 1


# Windows that are too small.


async def test_a_window_that_does_not_hold_the_task_is_told_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    messages = [SystemMessage("s"), UserMessage("t" * 8000)]
    desk = Desk(tmp_path, Clerk(window=2048), messages)
    with pytest.raises(SetupError) as caught:
        await desk.turn()
    assert caught.value.message == (
        "the task and the tools take 2,001 tokens, and the context window of clerk has 2,048, 512"
        " of them kept for the answer"
    )
    assert desk.model.asked == []


async def test_a_task_beyond_the_high_mark_that_leaves_room_for_an_answer_is_tried(
    tmp_path: Path,
) -> None:
    messages = [SystemMessage("s"), UserMessage("t" * 6100)]
    desk = Desk(tmp_path, Clerk(DONE, window=2048), messages)
    assert 0.9 * 1536 < tokens(messages) <= 1536
    assert (await desk.turn()).message is DONE


async def test_an_estimate_alone_refuses_only_what_is_beyond_the_window(tmp_path: Path) -> None:
    messages = [SystemMessage("s"), UserMessage("t" * 7000)]
    desk = Desk(tmp_path, Clerk(DONE, window=2048, counts=False), messages)
    assert (await desk.turn()).message is DONE
    desk.dialogue.begin("x", [SystemMessage("s"), UserMessage("t" * 9000)])
    with pytest.raises(SetupError, match="take about 2,"):
        await desk.turn()


async def test_where_little_can_be_cut_the_next_epoch_is_not_begun_at_once(
    tmp_path: Path,
) -> None:
    messages = grown(12, **TALK)
    messages.append(UserMessage("Long report. " * 740, "reflection"))
    clerk = Clerk(*[AssistantMessage("I looked. " * 20)] * 9, window=4000)
    desk = Desk(tmp_path, clerk, messages)
    for _ in range(5):
        desk.dialogue.say((await desk.turn()).message)
    assert tokens(desk.dialogue.messages[:-1]) > 2700
    assert len(desk.events("epoch")) == 1
