"""The numbers that publishers give, within 3 % (docs/models.md names where they are from)."""

import pytest

from agent.planning.find import Model, find
from agent.planning.known import KNOWN
from agent.planning.memory import cache_bytes, eager_scores, weight_bytes
from agent.planning.precision import offered

GB = 1_000_000_000
GIB = 1 << 30
MODELS = {size: find(f"gpt-oss-{size}") for size in ("20b", "120b")}


def about(value: float) -> object:
    return pytest.approx(value, rel=0.03)


def weights(model: Model, precision: str) -> int:
    found = {each.name: each for each in offered(model.shape, model.native)}
    return weight_bytes(model.shape, found[precision]).total


@pytest.mark.parametrize(
    ("size", "total", "active"), [("20b", 20.91, 3.61), ("120b", 116.83, 5.13)]
)
def test_parameters_of_gpt_oss(size: str, total: float, active: float) -> None:
    shape = MODELS[size].shape
    assert shape.parameters.total / GB == pytest.approx(total, abs=0.005)
    assert shape.active / GB == pytest.approx(active, abs=0.005)


@pytest.mark.parametrize(
    ("precision", "small", "large"),
    [
        ("bf16", 41.8, 233.7),
        ("mxfp4", 13.8, 65.2),
        ("int8", 22.1, 118.0),
        ("int4", 13.4, 67.4),
        ("bnb-4bit", 40.9, 232),
        ("mxfp4-gguf", 12.1, 63.4),
    ],
)
def test_weights_of_gpt_oss(precision: str, small: float, large: float) -> None:
    assert weights(MODELS["20b"], precision) / GB == about(small)
    assert weights(MODELS["120b"], precision) / GB == about(large)


@pytest.mark.parametrize(
    ("size", "token", "window", "hybrid", "plain"),
    [("20b", 24576, 3.1, 3.0, 6.0), ("120b", 36864, 4.7, 4.5, 9.0)],
)
def test_cache_of_gpt_oss(
    size: str, token: int, window: float, hybrid: float, plain: float
) -> None:
    shape = MODELS[size].shape
    assert cache_bytes(shape, 5001) - cache_bytes(shape, 5000) == token
    assert (cache_bytes(shape, 5000) - 5000 * token) / 1e6 == about(window)
    assert cache_bytes(shape, 131072) / GIB == about(hybrid)
    assert cache_bytes(shape, 131072, plain=True) / GIB == about(plain)
    assert cache_bytes(shape, 131072, 1) * 2 == cache_bytes(shape, 131072)


def test_scores_of_gpt_oss_without_fused_attention() -> None:
    assert eager_scores(MODELS["20b"].shape, 8192, 8192) / GIB == about(8)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("qwen2.5-coder-0.5b", 0.49),
        ("qwen2.5-coder-1.5b", 1.54),
        ("qwen2.5-coder-3b", 3.09),
        ("qwen2.5-coder-7b", 7.61),
        ("qwen2.5-coder-14b", 14.7),
        ("qwen2.5-coder-32b", 32.5),
        ("qwen3-8b", 8.2),
        ("qwen3-14b", 14.8),
        ("qwen3-32b", 32.8),
        ("qwen3-coder-30b-a3b", 30.5),
        ("qwen3-coder-480b-a35b", 480),
        ("llama-3.1-8b", 8.03),
        ("llama-3.3-70b", 70.6),
        ("mixtral-8x7b-instruct-v0.1", 46.7),
        ("devstral-small-2507", 23.6),
        ("deepseek-coder-v2-lite", 15.7),
        ("smollm2-135m", 0.1345),
    ],
)
def test_parameters_of_known_models(name: str, billions: float) -> None:
    total = find(name).shape.parameters.total / GB
    assert total == pytest.approx(billions, rel=0.01)


def test_every_known_model_is_compared() -> None:
    marks = test_parameters_of_known_models.pytestmark  # type: ignore[attr-defined]
    assert {name for name, _ in marks[0].args[1]} | {"gpt-oss-20b", "gpt-oss-120b"} == set(KNOWN)


@pytest.mark.parametrize(
    ("name", "precision", "size"),
    [
        ("qwen2.5-coder-7b", "q4_k_m", 4.68),
        ("qwen2.5-coder-7b", "q8_0", 8.1),
        ("qwen2.5-coder-32b", "q4_k_m", 19.85),
        ("llama-3.3-70b", "q4_k_m", 42.5),
    ],
)
def test_published_gguf_files(name: str, precision: str, size: float) -> None:
    assert weights(find(name), precision) / GB == about(size)


def test_deepseek_coder_activates_what_its_card_says() -> None:
    assert find("deepseek-coder-v2-lite").shape.active / GB == about(2.4)
