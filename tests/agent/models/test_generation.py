import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from agent.models.base import ModelError
from agent.models.generation import Generator, chunk_size
from agent.models.source import Request, Reused
from tests.agent.models import tiny

pytestmark = pytest.mark.model

STOP = frozenset({258})
PROMPT = tuple(range(10, 70))


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny.llama()


async def streamed(
    generator: Generator, ids: tuple[int, ...], count: int, **more: Any
) -> tuple[int, list[int]]:
    """How many tokens of the prompt were in the cache, and what followed it."""
    request = Request(ids, count, **{"temperature": 0.0, **more})
    reused, *tokens = [item async for item in generator.stream(request)]
    assert isinstance(reused, Reused)
    return reused.tokens, [token for token in tokens if isinstance(token, int)]


async def tokens(generator: Generator, ids: tuple[int, ...], count: int, **more: Any) -> list[int]:
    return (await streamed(generator, ids, count, **more))[1]


@pytest.mark.parametrize("make", [tiny.llama, tiny.gpt_oss], ids=["llama", "gpt-oss"])
async def test_a_cache_that_is_reused_gives_what_a_fresh_one_gives(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.models.generation._CHUNK", 16)
    model = make()
    kept = Generator(model, STOP)
    nothing, first = await streamed(kept, PROMPT, 8)
    assert nothing == 0
    prompts = [
        (*PROMPT, *first, 5, 6, 7),  # the conversation goes on
        (*PROMPT[:40], 9, 9, 9),  # its end is another one
        PROMPT[:30],  # it became shorter
        PROMPT[:30],  # the same again
        (3, 4, 5),  # nothing in common
    ]
    for prompt, cached in zip(prompts, [67, 40, 29, 29, 0], strict=True):
        fresh = Generator(model, STOP)
        assert await streamed(kept, prompt, 8) == (cached, await tokens(fresh, prompt, 8))
        await fresh.close()
    await kept.close()


async def test_the_same_as_the_library_gives_without_any_cache_of_ours(llama: Any) -> None:
    import torch

    whole = torch.tensor([PROMPT])
    theirs = llama.generate(whole, max_new_tokens=12, do_sample=False, pad_token_id=0)
    assert await tokens(Generator(llama, STOP), PROMPT, 12) == theirs[0, len(PROMPT) :].tolist()


async def test_a_seed_makes_sampling_repeatable(llama: Any) -> None:
    generator = Generator(llama, STOP)
    drawn = [
        await tokens(generator, PROMPT, 12, temperature=2.0, seed=seed) for seed in (1, 1, 2, None)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert drawn[3] not in drawn[:3]


async def test_top_p_and_temperature_are_honoured(llama: Any) -> None:
    generator = Generator(llama, STOP)
    likeliest = await tokens(generator, PROMPT, 6)
    narrow = await tokens(generator, PROMPT, 6, temperature=1.0, top_p=1e-6, seed=1)
    wide = {
        (await tokens(generator, PROMPT, 1, temperature=50.0, seed=seed))[0] for seed in range(150)
    }
    assert narrow == likeliest
    assert len(wide) > 60  # more than the 50 that the library would leave


async def test_a_stop_token_ends_the_turn_and_is_given(llama: Any) -> None:
    usual = await tokens(Generator(llama, STOP), PROMPT, 12)
    stop = usual[4]
    ended = await tokens(Generator(llama, {stop}), PROMPT, 12)
    assert ended == usual[: usual.index(stop) + 1]


async def test_closing_the_stream_stops_the_model_and_the_cache_stays_good(llama: Any) -> None:
    generator = Generator(llama, STOP)
    start = time.monotonic()
    async with aclosing(generator.stream(Request(PROMPT, 100_000, temperature=0.0))) as stream:
        async for item in stream:
            if isinstance(item, int):
                break
    assert time.monotonic() - start < 10
    usual = await tokens(Generator(llama, STOP), PROMPT, 6)
    assert await streamed(generator, PROMPT, 6) == (len(PROMPT) - 1, usual)


async def test_a_cancelled_turn_stops_while_it_reads_its_prompt(
    llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.models.generation._CHUNK", 1)
    generator = Generator(llama, STOP)
    task = asyncio.create_task(tokens(generator, PROMPT * 60, 5))
    await asyncio.sleep(0.3)
    task.cancel()
    start = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - start < 2
    assert await tokens(generator, PROMPT, 4) == await tokens(Generator(llama, STOP), PROMPT, 4)


async def test_a_shortage_of_memory_is_told_in_words_and_the_next_turn_works(
    llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB")

    generator = Generator(llama, STOP)
    with monkeypatch.context() as patch:
        patch.setattr(llama, "forward", fail)
        with pytest.raises(ModelError, match="memory ran out while the model read 60 tokens"):
            await tokens(generator, PROMPT, 4)
    reused, made = await streamed(generator, PROMPT, 4)
    assert (reused, len(made)) == (0, 4)


@pytest.mark.parametrize("before", [0, 8_192, 32_768, 131_072])
def test_scores_of_one_pass_stay_within_two_gibibytes_however_long_the_context(before: int) -> None:
    size = chunk_size(64, before)
    assert 16 <= size <= 512
    assert size * (before + size) * 64 * 6.6 <= 2 << 30
    assert chunk_size(0, before) == 512


async def test_eager_attention_reads_a_long_prompt_in_small_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny.gpt_oss()
    read: list[int] = []
    forward = model.forward

    def noted(ids: Any, **more: Any) -> Any:
        read.append(ids.shape[1])
        return forward(ids, **more)

    plain = await tokens(Generator(model, STOP), PROMPT, 4)
    monkeypatch.setattr("agent.models.generation.EAGER_SCORES", 0)
    monkeypatch.setattr(model, "forward", noted)
    assert await tokens(Generator(model, STOP), PROMPT, 4) == plain
    assert read[:4] == [16, 16, 16, 11]
