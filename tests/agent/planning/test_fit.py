from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.planning.cards import Cards, parse_cards
from agent.planning.find import find
from agent.planning.fit import Fit, Wish, fit, splits
from agent.planning.known import KNOWN
from agent.planning.memory import weight_bytes, workspace_bytes
from agent.planning.plan import Plan, make_plan
from agent.planning.precision import offered
from sandbox.errors import UsageError

GIB = 1 << 30
NAMES = st.sampled_from(sorted(KNOWN))
CONTEXTS = st.integers(1, 32768)
MEMORIES = st.integers(1, 300).map(lambda size: size * GIB)


def plan(name: str, cards: str, context: int = 32768, many: int = 1, precision: str = "") -> Plan:
    return make_plan(find(name), parse_cards(cards), Wish(context, many), precision)


def tried(name: str, memory: int, wish: Wish, gpus: int = 1) -> list[Fit]:
    model, cards = find(name), Cards("card", memory, count=gpus)
    return [
        fit(model.shape, precision, cards, gpus, wish)
        for precision in offered(model.shape, model.native)
    ]


@given(NAMES, CONTEXTS, st.integers(1, 64), MEMORIES, st.integers(0, 100))
def test_more_memory_never_fits_less(
    name: str, context: int, many: int, memory: int, more: int
) -> None:
    wish = Wish(context if name != "smollm2-135m" else min(context, 8192), many)
    pairs = zip(tried(name, memory, wish), tried(name, memory + more * GIB, wish), strict=True)
    for less, rich in pairs:
        assert less.conversations <= rich.conversations
        assert less.context <= rich.context
        assert rich.fits or not less.fits


@given(NAMES, CONTEXTS, CONTEXTS, st.integers(1, 64), MEMORIES)
def test_a_longer_context_never_fits_more(
    name: str, one: int, other: int, many: int, memory: int
) -> None:
    short, long = sorted((one, other))
    pairs = zip(
        tried(name, memory, Wish(short, many)), tried(name, memory, Wish(long, many)), strict=True
    )
    for easy, hard in pairs:
        assert easy.conversations >= hard.conversations
        assert easy.each_needed <= hard.each_needed
        assert easy.fits or not hard.fits


@given(NAMES, CONTEXTS, st.integers(1, 64), MEMORIES)
def test_what_is_said_to_fit_is_exactly_the_most(
    name: str, context: int, many: int, memory: int
) -> None:
    wish = Wish(context, many)
    model = find(name)
    for each in tried(name, memory, wish):
        assert each.fits == (each.able and each.each_needed <= each.each_usable)
        assert each.fits == (each.conversations >= many)
        if each.conversations:
            most = Wish(context, each.conversations)
            more = Wish(context, each.conversations + 1)
            cards = Cards("card", memory)
            assert fit(model.shape, each.precision, cards, 1, most).fits
            if each.conversations < 4096:
                assert not fit(model.shape, each.precision, cards, 1, more).fits
        if each.context:
            longest = Wish(each.context, many)
            assert fit(model.shape, each.precision, Cards("card", memory), 1, longest).fits


@given(NAMES, st.integers(1, 16))
def test_every_split_divides_the_heads_and_holds_the_whole_model(name: str, cards: int) -> None:
    model = find(name)
    for gpus in splits(model.shape, cards):
        assert model.shape.heads % gpus == 0
        found = weight_bytes(model.shape, model.native)
        assert found.on_each(gpus) * gpus >= found.total


@given(NAMES, CONTEXTS, st.integers(1, 8), MEMORIES)
def test_a_half_as_wide_cache_never_fits_less(
    name: str, context: int, many: int, memory: int
) -> None:
    wish = Wish(context, many)
    pairs = zip(tried(name, memory, wish), tried(name, memory, replace(wish, cache=1)), strict=True)
    assert all(wide.conversations <= narrow.conversations for wide, narrow in pairs)


@pytest.mark.parametrize(("name", "cards"), [("gpt-oss-20b", "16G"), ("gpt-oss-120b", "H100")])
def test_gpt_oss_fits_the_cards_it_was_made_for(name: str, cards: str) -> None:
    chosen = plan(name, cards, 8192).chosen
    assert chosen is not None
    assert chosen.precision.name == "mxfp4"


def test_the_model_itself_is_most_of_what_is_needed() -> None:
    room = workspace_bytes(find("gpt-oss-20b").shape, 32768, 4)
    assert 10**9 < room < 2 * 10**9


def test_tensor_parallelism_divides_heads_but_not_a_compressed_cache() -> None:
    plain, latent = plan("gpt-oss-20b", "4x24G"), plan("deepseek-coder-v2-lite", "4x24G")
    assert [each.gpus for each in plain.fits][:3] == [4, 2, 1]
    four, one = plain.fits[0], plain.fits[2]
    assert one.each_cache == 4 * four.each_cache
    assert latent.fits[0].gpus == 4
    assert latent.fits[0].each_cache == latent.fits[2].each_cache


def test_a_card_that_is_too_old_is_said_to_be() -> None:
    found = plan("gpt-oss-20b", "V100-32G")
    refused = next(each for each in found.fits if each.precision.name == "mxfp4")
    assert "needs compute capability 7.5, and V100-32G has 7.0" in refused.reason
    assert found.chosen is not None
    assert found.chosen.precision.name == "mxfp4-gguf"
    assert any("triton 3.4" in note for note in found.notes)


def test_what_would_fit_does() -> None:
    found = plan("qwen2.5-coder-32b", "2x24G", 32768, 4)
    assert found.chosen is None
    kinds = {way.kind: way for way in found.ways}
    assert set(kinds) == {"context", "conversations", "cache", "offload", "cards", "card"}
    for way in found.ways:
        words = way.flags.split()
        asked = dict(zip(words[::2], words[1::2], strict=True))
        wish = Wish(
            int(asked.get("--context", 32768)),
            int(asked.get("--conversations", 4)),
            1 if "--kv" in asked else 2,
        )
        cards = parse_cards(asked.get("--gpus", "2x24G"))
        again = make_plan(found.model, cards, wish, asked.get("--precision", ""))
        assert (again.chosen is not None) == (way.kind != "offload"), way
    assert f"-ngl {64 - kinds['offload'].layers}" in found.commands[0].line


def test_more_of_the_same_card_are_named_as_it_is() -> None:
    way = next(way for way in plan("gpt-oss-120b", "RTX 4090").ways if way.kind == "cards")
    assert way.flags == "--gpus '4xRTX 4090'"
    assert parse_cards("4xRTX 4090").capability == (8, 9)


def test_experts_go_to_main_memory_first() -> None:
    found = plan("gpt-oss-120b", "24G")
    assert found.chosen is None
    way = next(way for way in found.ways if way.kind == "offload")
    nearest = next(each for each in found.fits if each.precision.name == way.precision)
    assert nearest.each_needed - way.host <= nearest.each_usable
    assert f"--n-cpu-moe {way.layers}" in found.commands[0].line


def test_a_context_beyond_the_model_is_refused() -> None:
    with pytest.raises(UsageError, match="reads at most 131072 tokens"):
        plan("gpt-oss-20b", "80G", 131073)


def test_a_precision_that_the_model_has_not_is_refused() -> None:
    with pytest.raises(UsageError, match="not planned for at the precision 'q4_k_m'"):
        plan("gpt-oss-20b", "80G", precision="q4_k_m")


@pytest.mark.parametrize(
    ("cards", "name", "precision", "server", "parts"),
    [
        ("2x24G", "gpt-oss-20b", "", "vllm", ["--tensor-parallel-size 2", "openai_gptoss"]),
        ("mac 32G", "gpt-oss-20b", "", "ollama", ["ollama pull gpt-oss:20b"]),
        ("mac 32G", "gpt-oss-20b", "", "llama-server", ["-hf ggml-org/gpt-oss-20b-GGUF"]),
        ("cpu 64G", "qwen3-8b", "q4_k_m", "llama-server", ["-ngl 0", ":Q4_K_M", "-c 65536"]),
        ("24G", "qwen3-8b", "fp8", "vllm", ["--quantization fp8", "--reasoning-parser qwen3"]),
        ("T4", "smollm2-135m", "bf16", "vllm", ["--dtype half"]),
        ("24G", "qwen3-14b", "int4", "vllm", ["Qwen/Qwen3-14B-AWQ"]),
    ],
)
def test_the_command_to_serve(
    cards: str, name: str, precision: str, server: str, parts: list[str]
) -> None:
    context = 8192 if name == "smollm2-135m" else 32768
    found = plan(name, cards, context, 2, precision)
    command = next(each for each in found.commands if each.server == server)
    assert all(part in command.line for part in parts), command.line


def test_what_ollama_has_to_be_told_is_said_beside_its_command() -> None:
    def note(context: int, conversations: int) -> str:
        found = plan("gpt-oss-20b", "mac 32G", context, conversations).commands
        [command] = [each for each in found if each.server == "ollama"]
        assert command.line == "ollama pull gpt-oss:20b"
        return command.note

    assert not note(32_768, 1)
    assert "--context-window 65536" in note(65_536, 1)
    assert "OLLAMA_NUM_PARALLEL=2" in note(32_768, 2)


def test_no_command_quietly_serves_another_precision() -> None:
    assert not plan("gpt-oss-20b", "80G", precision="bf16").commands
    assert not plan("gpt-oss-20b", "80G", precision="int8").commands
    assert not any(each.server == "vllm" for each in plan("gpt-oss-20b", "mac 64G").commands)


def test_what_is_believed_wrongly_is_put_right() -> None:
    notes = " ".join(plan("gpt-oss-20b", "24G").notes)
    assert "MXFP4 already" in notes
    assert "40.9 GB" in notes
    assert "nn.Linear only" in notes
