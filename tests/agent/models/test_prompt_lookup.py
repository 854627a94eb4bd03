from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.models.generation import Generator
from agent.models.prompt_lookup import Lookup
from agent.models.source import Request
from tests.agent.models import tiny

pytestmark = pytest.mark.model

TEXT = list(range(10, 40))


def test_what_stood_there_before_is_guessed() -> None:
    lookup = Lookup([*TEXT, *TEXT[:5]])
    assert lookup.guess() == TEXT[5:9]
    lookup.extend(TEXT[5:9])
    lookup.learn(4, 4)
    assert lookup.guess() == TEXT[9:17]
    lookup.learn(8, 1)
    assert len(lookup.guess()) == 2
    lookup.extend([1, 2, 3])
    assert lookup.guess() == []


@given(st.lists(st.integers(0, 2), max_size=60))
def test_a_guess_is_the_latest_continuation(ids: list[int]) -> None:
    guess = Lookup(ids).guess()
    places = [n for n in range(len(ids) - 3) if ids[n : n + 3] == ids[-3:]]
    start = places[-1] + 3 if places else len(ids)
    assert guess == ids[start : start + 4]


async def made(model: Any, ids: list[int], stop: set[int], **more: Any) -> list[int]:
    generator = Generator(model, stop)
    request = Request(ids, 40, **more)
    tokens = [item async for item in generator.stream(request) if isinstance(item, int)]
    # What the cache holds is what was read, and no guess that was wrong.
    held = generator._caches._held[0]
    assert held.ids == [*ids, *tokens[:-1]]
    assert held.cache.get_seq_length() == len(held.ids)
    await generator.close()
    return tokens


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("stop", [set(), set(range(0, 259, 9))], ids=["to the limit", "to a stop"])
async def test_guesses_change_nothing_but_the_number_of_passes(
    monkeypatch: pytest.MonkeyPatch, temperature: float, stop: set[int]
) -> None:
    model = tiny.llama()
    passes: list[int] = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda *a, **k: passes.append(1) or forward(*a, **k))
    more = {"temperature": temperature, "seed": 3}
    monkeypatch.setattr(Lookup, "guess", lambda _: [])
    plain = await made(model, TEXT, stop, **more)
    slow = len(passes)

    def right(lookup: Lookup) -> list[int]:
        """Three tokens, of which every other time one is wrong."""
        done = len(lookup._ids) - len(TEXT)
        return [*plain[done : done + 2], *([250] if done % 2 else plain[done + 2 : done + 3])]

    passes.clear()
    monkeypatch.setattr(Lookup, "guess", right)
    assert await made(model, TEXT, stop, **more) == plain
    assert len(passes) < slow or len(plain) == 1


def test_models_with_experts_do_without() -> None:
    assert Generator(tiny.llama(), {1})._guesses
    assert not Generator(tiny.gpt_oss(vocab_size=300, pad_token_id=0), {1})._guesses
