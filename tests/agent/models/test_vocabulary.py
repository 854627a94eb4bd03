from typing import Any

import pytest

from agent.models.vocabulary import Vocabulary
from tests.agent.models import tiny

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny.tokenizer()


def test_every_token_has_its_text_but_special_ones_and_parts_of_characters(tokenizer: Any) -> None:
    vocabulary = Vocabulary(tokenizer)
    [letter] = tokenizer("a").input_ids
    assert vocabulary.text(letter) == "a"
    assert vocabulary.texts[tokenizer.eos_token_id] is None
    first_byte = tokenizer("é").input_ids[0]
    assert vocabulary.texts[first_byte] is None
    assert not vocabulary.speakable[first_byte]


def test_line_breaks_are_kept_out_of_lines(tokenizer: Any) -> None:
    vocabulary = Vocabulary(tokenizer)
    [line_feed] = tokenizer("\n").input_ids
    assert vocabulary.breaks_line(line_feed)
    assert vocabulary.speakable[line_feed]
    assert not vocabulary.within_line[line_feed]


def test_a_line_break_with_indentation_is_one_token_or_none(tokenizer: Any) -> None:
    vocabulary = Vocabulary(tokenizer)
    [line_feed] = tokenizer("\n").input_ids
    assert vocabulary.line_break(1) == line_feed
    # This vocabulary has no token for a line break with blanks.
    assert vocabulary.line_break(4) is None
    assert vocabulary.line_break(0) is None
