import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.planning.cards import KNOWN_CARDS, parse_cards
from agent.planning.quantities import parse_memory, parse_tokens, tokens
from sandbox.errors import UsageError

GIB = 1 << 30
WORDS = st.text(st.sampled_from("0123456789.xXgGmMkKiIbBtT -,+HRTXmacpu\n٣²"), max_size=12)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24", 24 * GIB),
        ("24G", 24 * GIB),
        ("24gib", 24 * GIB),
        ("24GB", 24 * 10**9),
        ("1.5T", 3 * GIB * 512),
        ("512M", 512 << 20),
        (" 24 G ", 24 * GIB),
    ],
)
def test_memory(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "G", "-24G", "24K", "1e9", "24GG", "0", "99999T", "1M", "٣G"])
def test_what_is_no_memory(text: str) -> None:
    with pytest.raises(UsageError):
        parse_memory(text)


@pytest.mark.parametrize(
    ("text", "number"), [("32768", 32768), ("32k", 32768), ("128K", 131072), ("1m", 1 << 20)]
)
def test_tokens(text: str, number: int) -> None:
    assert parse_tokens(text) == number


@pytest.mark.parametrize("text", ["", "k", "0", "0k", "-1", "32kb", "1.5k", "999999999m", "³k"])
def test_what_is_no_number_of_tokens(text: str) -> None:
    with pytest.raises(UsageError):
        parse_tokens(text)


@given(st.integers(1, 1 << 26))
def test_shown_tokens_are_read_again(number: int) -> None:
    assert parse_tokens(tokens(number).replace(",", "")) == number


@given(st.integers(1, 2048), st.integers(1, 64))
def test_cards_of_any_memory_and_number(size: int, count: int) -> None:
    cards = parse_cards(f"{count}x{size}G")
    assert (cards.memory, cards.count, cards.kind) == (size * GIB, count, "cuda")
    assert cards.capability is None


@given(st.one_of(WORDS, st.text(max_size=12)))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_memory, parse_tokens, parse_cards):
        try:
            found = parse(text)
        except UsageError as error:
            assert error.message
        else:
            assert found


@pytest.mark.parametrize("name", KNOWN_CARDS)
def test_a_card_is_found_however_it_is_written(name: str) -> None:
    card = KNOWN_CARDS[name]
    for text in (name, card.name.upper(), f"NVIDIA {card.name}"):
        assert parse_cards(text) == card
    assert parse_cards(f"4x{card.name}").count == 4
    sold = re.search(r"-(\d+)G$", card.name)
    assert sold is None or card.memory == int(sold[1]) * GIB


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("4090", "RTX 4090", 1),
        ("2x rtx4090", "RTX 4090", 2),
        ("NVIDIA GeForce RTX 3090", "RTX 3090", 1),
        ("A100", "A100-80G", 1),
        ("a100-40gb", "A100-40G", 1),
        ("A100 40G", "A100-40G", 1),
        ("mac 64G", "Mac", 1),
        ("64G mac", "Mac", 1),
        ("cpu 32G", "CPU", 1),
    ],
)
def test_other_names(text: str, name: str, count: int) -> None:
    found = parse_cards(text)
    assert (found.name, found.count) == (name, count)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("24G,16G", "one kind"),
        ("0x24G", "0 cards"),
        ("65x24G", "65 cards"),
        ("RTX 4091", "did you mean 'RTX 4090'?"),
        ("GTX1080", "no card 'GTX1080' is known\n"),
        ("2xmac 64G", "only graphics cards"),
        ("mac", "lacks its memory"),
        ("24K", "size of memory"),
        ("", "no card"),
    ],
)
def test_what_names_no_cards(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        parse_cards(text)


def test_a_mac_lends_its_gpu_a_part_and_a_card_what_is_free() -> None:
    assert parse_cards("mac 64G").usable(0.9) == 48 * GIB
    assert parse_cards("mac 36G").usable(0.9) == 24 * GIB
    assert parse_cards("cpu 100G").usable(0.9) == 90 * GIB
