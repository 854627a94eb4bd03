import pytest

from wrap import center, fill, wrap

POEM = "the quick brown fox jumps over the lazy dog"


def test_a_short_text_is_one_line():
    assert wrap("hello world", 20) == ["hello world"]


def test_no_text_has_no_lines():
    assert wrap("   ", 20) == []


def test_spaces_are_collapsed():
    assert wrap("a   b\n c", 20) == ["a b c"]


def test_a_long_word_is_cut():
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]


def test_a_text_as_wide_as_the_line_is_not_broken():
    assert wrap("hello world", 11) == ["hello world"]


def test_no_line_is_too_wide():
    assert wrap(POEM, 8) == ["the", "quick", "brown", "fox", "jumps", "over the", "lazy dog"]


@pytest.mark.parametrize("width", [10, 20, 43])
def test_words_stay_in_order(width):
    assert " ".join(wrap(POEM, width)) == POEM


def test_a_width_of_zero_is_refused():
    with pytest.raises(ValueError):
        wrap("a", 0)


def test_paragraphs_stay_apart():
    assert fill("one two\n\nthree", 3) == "one\ntwo\n\nthr\nee"


def test_centered_lines_have_no_trailing_spaces():
    assert center("ab", 6) == ["  ab"]
