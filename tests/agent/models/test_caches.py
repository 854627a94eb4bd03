import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agent.models.caches import Caches, kind_of
from agent.models.generation import Generator
from agent.models.source import Request, Reused
from tests.agent.models import tiny

pytestmark = pytest.mark.model

STOP = frozenset({258})
#: With the second, gpt-oss keeps windows; with the third, one conversation at a time stays.
PLENTY, TIGHT, LITTLE = 1 << 30, 1 << 20, 1 << 10
FIRST = tuple(range(10, 60))
OTHER = (*FIRST[:20], *range(100, 150))


@pytest.fixture(scope="module")
def oss() -> Any:
    return tiny.gpt_oss(vocab_size=300, pad_token_id=0, eos_token_id=None)


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny.llama()


async def ask(
    generator: Generator, ids: tuple[int, ...], count: int = 5, **more: Any
) -> tuple[int, list[int]]:
    """How much was in a cache, and what followed."""
    request = Request(ids, count, **{"temperature": 0.0, **more})
    items = [item async for item in generator.stream(request)]
    reused = [item.tokens for item in items if isinstance(item, Reused)]
    return reused[0], [item for item in items if isinstance(item, int)]


async def fresh(model: Any, ids: tuple[int, ...], count: int = 5, **more: Any) -> list[int]:
    generator = Generator(model, STOP)
    made = (await ask(generator, ids, count, **more))[1]
    await generator.close()
    return made


@pytest.mark.parametrize("limit", [PLENTY, TIGHT], ids=["plain", "sliding"])
async def test_two_conversations_in_turn_each_read_only_what_is_new(oss: Any, limit: int) -> None:
    generator = Generator(oss, STOP, limit)
    prompts = [FIRST, OTHER]
    for turn in range(4):
        for which in (0, 1):
            prompt = prompts[which]
            reused, made = await ask(generator, prompt)
            assert made == await fresh(oss, prompt)
            if turn:
                # All but the last token of the turn before, and what was said since.
                assert reused == len(prompt) - 4
            prompts[which] = (*prompt, *made, 7, 8, 9)
    await generator.close()


async def test_at_once_they_take_turns_and_neither_disturbs_the_other(oss: Any) -> None:
    generator = Generator(oss, STOP)
    order: list[int] = []

    async def watch(number: int, prompt: tuple[int, ...], count: int) -> list[int]:
        made = []
        async for item in generator.stream(Request(prompt, count, temperature=0.0)):
            if isinstance(item, int):
                order.append(number)
                made.append(item)
        return made

    long, short = await asyncio.gather(watch(0, FIRST, 120), watch(1, OTHER, 20))
    assert long == await fresh(oss, FIRST, 120)
    assert short == await fresh(oss, OTHER, 20)
    assert max(n for n, who in enumerate(order) if who == 1) < 100
    await generator.close()


async def test_the_same_prompt_at_once_is_read_once_and_the_rest_is_shared(llama: Any) -> None:
    generator = Generator(llama, STOP)
    await ask(generator, FIRST, 1)
    both = await asyncio.gather(ask(generator, (*FIRST, 3), 9), ask(generator, (*FIRST, 3), 9))
    assert [reused for reused, _ in both] == [len(FIRST), len(FIRST)]
    assert both[0][1] == both[1][1] == await fresh(llama, (*FIRST, 3), 9)
    await generator.close()


@pytest.mark.parametrize("limit", [PLENTY, TIGHT], ids=["plain", "sliding"])
async def test_a_turn_that_is_cut_goes_on_from_its_own_beginning(oss: Any, limit: int) -> None:
    generator = Generator(oss, STOP, limit)
    _, made = await ask(generator, FIRST, 40)
    cut = (*FIRST, *made[:12], 5)
    reused, rest = await ask(generator, cut, begun=13)
    # A window can be taken back to where the turn began only.
    assert reused == (len(FIRST) + 12 if limit == PLENTY else len(FIRST) - 1)
    assert rest == await fresh(oss, cut)
    assert len(generator._caches._held) == 1
    await generator.close()


async def test_caches_that_take_too_much_go_the_oldest_first(llama: Any) -> None:
    size = 2 * 2 * 2 * 16 * 4 * 60  # of a conversation like these
    generator = Generator(llama, STOP, 2 * size)
    prompts = [tuple(range(start, start + 50)) for start in (10, 70, 130)]
    for prompt in prompts:
        await ask(generator, prompt)
    assert len(generator._caches._held) == 2
    assert [(await ask(generator, prompt))[0] for prompt in reversed(prompts)] == [49, 49, 0]
    await generator.close()


async def test_copies_of_windows_count_as_what_a_cache_takes(oss: Any) -> None:
    generator = Generator(oss, STOP, TIGHT)
    await ask(generator, FIRST)
    (held,) = generator._caches._held
    assert held.copies
    with_copies = held.size
    held.copies = {}
    # One window of each of the two tensors of the one layer that keeps one.
    assert with_copies - held.size == 2 * 2 * 16 * 4 * 7
    await generator.close()


async def test_a_cache_in_use_stays_however_little_is_allowed(llama: Any) -> None:
    generator = Generator(llama, STOP, LITTLE)
    assert (await ask(generator, FIRST, 20))[1] == await fresh(llama, FIRST, 20)
    assert (await ask(generator, FIRST))[0] == 0
    await generator.close()


def test_a_window_is_kept_where_a_long_conversation_would_take_too_much(
    oss: Any, llama: Any
) -> None:
    assert kind_of(oss, 1 << 40) == "plain"
    assert kind_of(oss, 1 << 20) == "sliding"
    assert kind_of(llama, 1 << 10) == "plain"


def test_a_model_with_a_state_reads_each_prompt_anew() -> None:
    class Stateful:
        _is_stateful = True
        config = tiny.llama().config

    assert kind_of(Stateful(), PLENTY) == "state"


def test_what_is_cut_from_a_cache_stays_in_the_one_it_came_from(llama: Any) -> None:
    import torch

    caches = Caches(llama, "plain", PLENTY)
    held = caches.take(list(FIRST))
    with torch.inference_mode():
        llama(torch.tensor([FIRST]), past_key_values=held.cache, use_cache=True)
    held.ids += FIRST
    caches.give_back(held)
    other = caches.take(list(OTHER))
    assert (len(held.ids), len(other.ids)) == (50, 20)
    assert (held.cache.get_seq_length(), other.cache.get_seq_length()) == (50, 20)


# Candidates.


async def several(generator: Generator, requests: list[Request]) -> list[list[int]]:
    made: list[list[int]] = [[] for _ in requests]
    async for number, item in generator.several(requests):
        if isinstance(item, int):
            made[number].append(item)
    return made


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (tiny.llama, PLENTY),
        (tiny.llama, 3 * 2 * 2 * 2 * 16 * 4 * 50),
        (lambda: tiny.gpt_oss(vocab_size=300, pad_token_id=0), PLENTY),
        (lambda: tiny.gpt_oss(vocab_size=300, pad_token_id=0), TIGHT),
    ],
    ids=["llama", "three at a time", "gpt-oss", "gpt-oss with windows"],
)
async def test_candidates_are_what_single_calls_with_their_seeds_give(
    make: Callable[[], Any], limit: int
) -> None:
    model = make()
    stop = frozenset(range(0, 300, 12))  # some end early, and the others go on without them
    requests = [Request(FIRST, 24, 1.0, 1.0, seed) for seed in range(7)]
    generator = Generator(model, stop, limit)
    made = await several(generator, requests)
    assert len({len(each) for each in made}) > 1
    for request, tokens in zip(requests, made, strict=True):
        alone = Generator(model, stop)
        assert tokens == [each async for each in alone.stream(request) if isinstance(each, int)]
        await alone.close()
    # The prompt is still there for what follows.
    assert (await ask(generator, (*FIRST, 5), 1))[0] == len(FIRST) - 1
    await generator.close()
