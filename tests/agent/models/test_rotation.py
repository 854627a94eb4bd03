from typing import Any

import pytest

from agent.models.generation import Generator
from agent.models.loading import hold_rotation
from agent.models.source import Request
from tests.agent.models import tiny

pytestmark = pytest.mark.model

SHORT = 32


def phi(window: int | None) -> Any:
    """A tiny Phi-3, whose rotations differ beyond SHORT tokens."""
    import torch
    from transformers import Phi3Config, Phi3ForCausalLM

    table = {"rope_type": "longrope", "rope_theta": 10_000.0}
    factors = {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8}
    more = {"original_max_position_embeddings": SHORT, "max_position_embeddings": 1024}
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 259}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.5}
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    table = {**table, **factors, "original_max_position_embeddings": SHORT}
    config = Phi3Config(**{**sizes, **heads, **ends, **more, "rope_parameters": table})
    hold_rotation(config, window)
    torch.manual_seed(1)
    return Phi3ForCausalLM(config).eval()


async def test_a_text_that_grows_long_goes_on_from_its_cache_as_a_fresh_one_would() -> None:
    import torch

    model = phi(None)
    generator = Generator(model, frozenset())
    ids = list(range(10, 10 + SHORT - 4))
    for _ in range(3):
        request = Request(tuple(ids), 12, temperature=0.0)
        made = [item async for item in generator.stream(request) if isinstance(item, int)]
        with torch.inference_mode():
            scores = model(torch.tensor([[*ids, *made]]), use_cache=False).logits[0]
        assert scores[len(ids) - 1 : -1].argmax(-1).tolist() == made
        ids += [*made, 3, 4, 5]
    await generator.close()


@pytest.mark.parametrize(("window", "held"), [(None, True), (SHORT, False), (SHORT + 1, True)])
def test_short_texts_keep_their_own_rotations_where_no_long_ones_come(
    window: int | None, held: bool
) -> None:
    table = phi(window).config.rope_parameters
    assert (table["short_factor"] == table["long_factor"]) is held


def test_other_models_are_left_as_they_are() -> None:
    config = tiny.llama().config
    before = dict(config.rope_parameters)
    hold_rotation(config, None)
    assert config.rope_parameters == before
