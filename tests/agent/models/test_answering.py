"""Turns in this process that are cut amid their reasoning, and go on."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agent.conversation import Conversation, SystemMessage, ToolSpec, UserMessage
from agent.models.base import Event, ReasoningCut, ReasoningDelta, Sampling, TurnDone
from agent.models.generation import Generator
from agent.models.harmony import HarmonyDialect
from agent.models.local import LocalModel
from agent.models.settings import ModelSettings
from agent.models.source import Request, Reused
from agent.models.templates import TemplateDialect
from agent.monitor import Bounds, Monitor, Steer
from agent.watching import WatchedModel
from tests.agent.models import tiny
from tests.agent.test_monitor import TRACES

pytestmark = pytest.mark.model

SHELL = ToolSpec("shell", "Runs a command.", {"type": "object", "properties": {}})
HELLO: Conversation = (SystemMessage("Be brief."), UserMessage("Hello"))
SOUND = TRACES[3].read_text("utf-8")
LOOP = "Maybe the test is wrong, so I look at the test again. "
CALL = "<|channel|>commentary to=functions.shell <|constrain|>json<|message|>{}<|call|>"
THINKS = "<|channel|>analysis<|message|>"


class Written:
    """Stands where the sampling is: gives the tokens of one text after the other, and keeps what it
    was asked."""

    def __init__(self, dialect: Any, *texts: str) -> None:
        self._texts = [dialect.encode(text) for text in texts]
        self.asked: list[Request] = []
        self.given = 0

    async def stream(self, request: Request) -> AsyncGenerator[int | Reused, None]:
        self.asked.append(request)
        yield Reused(7 * len(self.asked))
        for token in self._texts[len(self.asked) - 1][: request.max_tokens]:
            self.given += 1
            yield token

    async def close(self) -> None:
        pass


def written(dialect: Any, *texts: str) -> tuple[LocalModel, Written]:
    model = LocalModel("m", ModelSettings())
    generator = Written(dialect, *texts)
    model._opened = generator, dialect
    return model, generator


async def watched(
    model: LocalModel,
    bounds: Bounds = Bounds(),  # noqa: B008 - frozen
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    **more: Any,
) -> tuple[list[Event], TurnDone, list[ReasoningCut]]:
    opened = WatchedModel(model, Monitor(bounds, **more))
    async with aclosing(opened.generate(HELLO, [SHELL], sampling)) as stream:
        events = [event async for event in stream]
    done = events.pop()
    assert isinstance(done, TurnDone)
    return events, done, [event for event in events if isinstance(event, ReasoningCut)]


async def test_a_loop_of_gpt_oss_is_closed_and_the_call_follows_in_the_same_turn() -> None:
    dialect = HarmonyDialect()
    model, generator = written(dialect, THINKS + SOUND + LOOP * 100, CALL)
    events, done, [cut] = await watched(model)
    assert (cut.reason, cut.way) == ("loop", "closed")
    assert generator.given - len(dialect.encode(THINKS + SOUND + CALL)) <= 300
    assert (done.finish, done.problem, done.before) == ("calls", "", ())
    assert [call.name for call in done.message.calls] == ["shell"]
    assert done.message.reasoning.startswith(SOUND)
    assert (SOUND + LOOP * 2).startswith(done.message.reasoning)
    # It went on from the very tokens that it had written, and the ones that end the reasoning.
    first, second = generator.asked
    kept = len(dialect.encode(THINKS + done.message.reasoning))
    ending = dialect.encode("<|end|><|start|>assistant")
    assert second.ids[: len(first.ids)] == tuple(first.ids)
    assert second.ids[len(first.ids) :] == done.message.token_ids[: kept + len(ending)]
    assert second.ids[-len(ending) :] == ending
    assert second.max_tokens == first.max_tokens - kept - len(ending)
    # All is counted: what is kept, and what was thrown away.
    assert done.usage.input_tokens == len(first.ids)
    assert done.usage.output_tokens == len(done.message.token_ids)
    assert done.usage.output_tokens + done.usage.abandoned_tokens == generator.given + len(ending)
    assert done.usage.cached_tokens == 7
    assert sum(isinstance(event, ReasoningDelta) for event in events) > 0


async def test_the_next_turn_has_the_cut_one_in_its_own_tokens() -> None:
    dialect = HarmonyDialect()
    model, _ = written(dialect, THINKS + SOUND + LOOP * 100, CALL)
    _, done, _ = await watched(model)
    ids = dialect.prompt((*HELLO, done.message), [SHELL], None).ids
    own = done.message.token_ids
    assert any(ids[at : at + len(own)] == own for at in range(len(ids)))


async def test_gpt_oss_that_thinks_again_is_made_to_act() -> None:
    dialect = HarmonyDialect()
    call = " to=functions.shell <|constrain|>json<|message|>{}<|call|>"
    model, generator = written(dialect, THINKS + LOOP * 100, THINKS + LOOP * 100, call)
    _, done, cuts = await watched(model)
    assert [cut.way for cut in cuts] == ["closed", "closed"]
    opened = dialect.encode("<|end|><|start|>assistant<|channel|>commentary")
    assert generator.asked[2].ids[-len(opened) :] == opened
    assert [made.name for made in done.message.calls] == ["shell"]
    assert done.message.reasoning.count(LOOP.strip()) >= 2


async def test_a_third_time_it_is_unusable() -> None:
    dialect = HarmonyDialect()
    loop = THINKS + LOOP * 100
    model, _ = written(dialect, loop, loop, f"<|message|>x<|end|><|start|>assistant{loop}")
    _, done, cuts = await watched(model)
    assert [cut.way for cut in cuts] == ["closed", "closed", "ended"]
    assert done.finish == "cut"
    assert "cut short again and again" in done.problem
    assert done.message.reasoning.count(LOOP) >= 3


async def test_tags_are_closed_and_the_call_follows() -> None:
    dialect = TemplateDialect(tiny.tokenizer(), frozenset())
    call = '<tool_call>{"name": "shell", "arguments": {}}</tool_call><|im_end|>'
    model, generator = written(dialect, f"<think>{SOUND}{LOOP * 100}", call)
    _, done, [cut] = await watched(model)
    assert cut.way == "closed"
    assert generator.asked[1].ids[-len("\n</think>\n\n") :] == dialect.encode("\n</think>\n\n")
    assert (done.finish, done.problem) == ("calls", "")
    assert (SOUND + LOOP * 2).startswith(done.message.reasoning)


async def test_a_judge_that_steers_has_the_model_asked_again() -> None:
    dialect = HarmonyDialect()
    model, generator = written(dialect, THINKS + SOUND, CALL)
    said = iter([Steer("Look at cart.py.")])
    _, done, [cut] = await watched(model, judge=lambda _: next(said))
    assert cut.way == "asked"
    assert done.before[1] == UserMessage("Look at cart.py.", "steering")
    assert "Look at cart.py.<|end|><|start|>assistant" in dialect.decode(generator.asked[1].ids)


async def test_where_the_limit_comes_first_the_turn_ends_as_it_always_did() -> None:
    dialect = HarmonyDialect()
    model, _ = written(dialect, THINKS + LOOP * 100, CALL)
    _, done, cuts = await watched(model, sampling=Sampling(max_output_tokens=100))
    assert not cuts
    assert done.finish == "length"


@pytest.mark.parametrize("make", [tiny.gpt_oss, tiny.llama], ids=["gpt-oss", "llama"])
async def test_the_cache_after_a_cut_gives_what_a_fresh_one_gives(
    make: Any, tmp_path: Path
) -> None:
    weights = make()
    harmony = make is tiny.gpt_oss
    dialect: Any = HarmonyDialect() if harmony else TemplateDialect(tiny.tokenizer(), frozenset())
    kept = Generator(weights, dialect.stop_ids)
    model = LocalModel("m", ModelSettings())
    model._opened = kept, dialect
    thinking = dialect.prompt(HELLO, [SHELL], None)
    opened = dialect.encode(THINKS if harmony else "<think>")
    prompt = type(thinking)((*thinking.ids, *opened), thinking=True)
    _open_in_thought(dialect, prompt, opened)

    greedy = Sampling(temperature=0.0, max_output_tokens=200)
    _, done, cuts = await watched(model, Bounds(limit=16, loops=False), greedy)
    assert cuts
    assert cuts[0].way == "closed"
    asked: Sequence[int] = (*prompt.ids, *done.message.token_ids)
    fresh = Generator(weights, dialect.stop_ids)
    request = Request(asked[:-1], 6, temperature=0.0)
    reused, *on = [item async for item in kept.stream(request)]
    assert isinstance(reused, Reused)
    assert reused.tokens >= len(asked) - 3
    assert [Reused(0), *on] == [item async for item in fresh.stream(request)]
    await kept.close()
    await fresh.close()


def _open_in_thought(dialect: Any, prompt: Any, opened: Sequence[int]) -> None:
    """Has the dialect's prompt end amid reasoning: random weights would never begin one."""
    usual = dialect.parser

    def parser(*given: Any) -> Any:
        made = usual(*given)
        if isinstance(dialect, HarmonyDialect):
            for token in opened:
                made.feed(token)
        return made

    dialect.prompt = lambda *_: prompt
    dialect.parser = parser
