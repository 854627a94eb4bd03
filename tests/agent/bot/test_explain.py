import pytest

from agent.bot.explain import can_explain, explained
from agent.models.base import ModelError
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from tests.agent.models.asking import model
from tests.faults.server import FaultServer, answer, error


async def test_the_model_is_shown_report_and_patch_and_its_answer_counts() -> None:
    async with FaultServer(answer("It took away.")) as server:
        text, usage = await explained(model(server), "add is wrong", "-a - b\n+a + b")
    assert text == "It took away."
    assert usage.total_tokens == 14
    [request] = server.requests
    shown = request.json["messages"][-1]["content"]
    assert "add is wrong" in shown
    assert "+a + b" in shown
    assert "tools" not in request.json


async def test_a_model_that_does_not_answer_is_an_error() -> None:
    async with FaultServer(error(400, "no")) as server:
        with pytest.raises(ModelError):
            await explained(model(server), "add is wrong", "")


def test_who_has_no_words_of_their_own_is_not_asked() -> None:
    assert not can_explain(open_model("embedded", ModelSettings()))
