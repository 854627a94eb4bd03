from hypothesis import given
from hypothesis import strategies as st

from tools.bounds import bound_text, clip_line, count, sendable


def test_a_text_within_the_limit_stays_as_it_is():
    assert bound_text("a\nb", 3, "no") == "a\nb"


def test_the_beginning_and_the_end_stay_and_the_missing_part_is_counted():
    text = "".join(f"line {number}\n" for number in range(1000))
    bounded = bound_text(text, 400, "use tail")
    assert bounded.startswith("line 0\n")
    assert bounded.endswith("line 999\n")
    kept = [line for line in bounded.splitlines() if line.startswith("line ")]
    said = next(line for line in bounded.splitlines() if line.startswith("[..."))
    assert f"({1000 - len(kept)} lines)" in said
    assert "use tail" in said


def test_one_endless_line_is_cut_inside():
    bounded = bound_text("x" * 5000, 100, "use cut")
    assert "4,900 characters" in bounded
    assert bounded.count("x") == 100


@given(st.text(alphabet="ab\n", max_size=400), st.integers(min_value=1, max_value=200))
def test_a_bounded_text_is_about_as_long_as_the_limit(text, limit):
    assert len(bound_text(text, limit, "x")) <= max(limit, 0) + 80


def test_a_long_line_says_what_was_cut_off():
    assert clip_line("abcdef", 4) == "abcd [... 2 more characters in this line]"
    assert clip_line("abcd", 4) == "abcd"


def test_lone_surrogates_cannot_reach_a_model():
    assert sendable("a\udcffb") == "a\ufffdb"


def test_counts_agree_with_their_nouns():
    assert count(1, "line") == "1 line"
    assert count(2000, "line") == "2,000 lines"
    assert count(2, "match", "matches") == "2 matches"
