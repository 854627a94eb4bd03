"""What a model in this process computes anew when its conversation was made shorter."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.checkpoint import Work, note, request
from agent.context import Gauge
from agent.conversation import (
    AssistantMessage,
    Conversation,
    Message,
    SystemMessage,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.base import Model, Sampling, TurnDone
from agent.models.harmony import HarmonyDialect
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from agent.shrinking import renewed, shrink
from tests.agent.models import tiny

pytestmark = pytest.mark.model

TOOLS = [ToolSpec("shell", "Runs a command.", {"type": "object", "properties": {}})]
GREEDY = Sampling(temperature=0.0, max_output_tokens=6)
CALL = (
    "<|channel|>analysis<|message|>I look at it, {n}.<|end|><|start|>assistant<|channel|>commentary"
    ' to=functions.shell <|constrain|>json<|message|>{{"n": {n}}}<|call|>'
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gpt-oss")
    # Most of it is the vocabulary, so it is as narrow as can be.
    tiny.gpt_oss(hidden_size=16, intermediate_size=16).save_pretrained(made)
    return made


def conversation(dialect: HarmonyDialect) -> list[Message]:
    """Turns in the tokens in which the model wrote them, with long results."""
    made: list[Message] = [SystemMessage("Be brief."), UserMessage("Mend add.")]
    for number in range(6):
        ids = dialect.encode(CALL.format(n=number))
        parser = dialect.parser(made, TOOLS, dialect.prompt(made, TOOLS, None))
        for token in ids:
            parser.feed(token)
        parser.close()
        turn = parser.parsed()
        assert not turn.problem
        made.append(AssistantMessage(turn.text, turn.reasoning, turn.calls, ids))
        made.append(ToolMessage(turn.calls[0].id, "shell", f"line of the output {number}\n" * 40))
    return made


async def ask(model: Model, messages: Conversation) -> TurnDone:
    done = [event async for event in model.generate(messages, TOOLS, GREEDY)][-1]
    assert isinstance(done, TurnDone)
    return done


def common(held: Sequence[int], wanted: Sequence[int]) -> int:
    """Tokens of the longest common prefix, but for the prompt's last one, which has to be read."""
    same = 0
    for one, other in zip(held, wanted[:-1], strict=False):
        if one != other:
            break
        same += 1
    return same


@pytest.mark.parametrize(
    "way", ["turns left out", pytest.param("texts cut", marks=pytest.mark.nightly)]
)
async def test_after_a_compaction_all_of_the_common_prefix_is_cached_and_the_answer_is_exact(
    folder: Path, way: str
) -> None:
    dialect = HarmonyDialect()
    model = open_model(f"hf:{folder}", ModelSettings(), {})
    messages = conversation(dialect)
    first = await ask(model, messages)
    # The notes are asked for with what is cached.
    noted = await ask(model, [*messages, request(300)])
    prompt = dialect.prompt(messages, TOOLS, None).ids
    assert noted.usage.cached_tokens >= len(prompt) - len("assistant") > 1000

    gauge = Gauge(model, TOOLS)
    whole = gauge.best(messages)
    assert whole == len(prompt) == first.usage.input_tokens
    if way == "texts cut":
        found = shrink(messages, whole, whole // 2, gauge.of, len(messages) - 2)
    else:
        state = note("Go on.", Work("1 test fails", "+ a\n"), notes="Next steps: mend it.")
        found = renewed(messages, state, whole // 2, gauge.of)
        assert 0 < found.cut["turns"] < 6
    after = await ask(model, found.messages)
    now = dialect.prompt(found.messages, TOOLS, None).ids
    held = (*dialect.prompt([*messages, request(300)], TOOLS, None).ids, *noted.message.token_ids)
    assert after.usage.input_tokens == len(now) < whole
    assert after.usage.cached_tokens == common(held, now) > 50

    # Turns that were kept are in the very tokens in which they were written.
    kept = found.messages[-2]
    assert isinstance(kept, AssistantMessage)
    ids = list(kept.token_ids)
    assert any(list(now[n : n + len(ids)]) == ids for n in range(len(now)))

    # Within the new epoch nothing is read twice.
    longer = [*found.messages, UserMessage("Go on.", "notice")]
    more = await ask(model, longer)
    then = dialect.prompt(longer, TOOLS, None).ids
    assert more.usage.cached_tokens == common((*now, *after.message.token_ids), then)

    fresh = open_model(f"hf:{folder}", ModelSettings(), {})
    assert (await ask(fresh, found.messages)).message.token_ids == after.message.token_ids
    await fresh.close()
    await model.close()
