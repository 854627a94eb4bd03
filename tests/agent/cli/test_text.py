import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.text import count, duration, one_line, size, table, visible


def test_terminal_controls_are_shown_and_do_not_act() -> None:
    assert visible("\x1b]52;c;ZXZpbA==\x07") == "\\e]52;c;ZXZpbA==\\a"
    assert visible("ok\rPWNED") == "ok\\rPWNED"
    assert visible("\x9b31m") == "\\x9b31m"


def test_bidirectional_and_tag_characters_are_shown() -> None:
    assert visible("a\u202eb") == "a\\u{202e}b"
    assert visible("a\U000e0041b") == "a\\u{e0041}b"
    assert visible("\u2066x\u2069") == "\\u{2066}x\\u{2069}"


def test_ordinary_text_is_left_alone() -> None:
    text = "naïve 日本語 🙂 tab\t\nline"
    assert visible(text) == text


def test_windows_line_ends_are_line_ends() -> None:
    assert visible("a\r\nb") == "a\nb"


def test_bytes_that_are_no_text_are_shown_as_bytes() -> None:
    assert visible(b"a\xff".decode("utf-8", "surrogateescape")) == "a\\xff"


@given(st.text())
def test_nothing_that_acts_on_a_terminal_is_left(text: str) -> None:
    shown = visible(text)
    assert all(
        character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
        for character in shown
    )


@given(st.text(), st.integers(4, 80))
def test_one_line_is_one_line_within_its_width(text: str, width: int) -> None:
    line = one_line(text, width)
    assert "\n" not in line
    assert len(line) <= width


def test_numbers_are_told_as_people_say_them() -> None:
    assert count(1, "test") == "1 test"
    assert count(3000, "test") == "3,000 tests"
    assert duration(0.44) == "0.4 s"
    assert duration(59.4) == "59 s"
    assert duration(185) == "3 min 5 s"
    assert duration(3599.6) == "1 h 0 min"
    assert duration(7400) == "2 h 3 min"
    assert size(512) == "512 B"
    assert size(3.5 * 1024 * 1024) == "3.5 MiB"
    assert size(2 << 30) == "2.0 GiB"


def test_a_table_is_aligned() -> None:
    assert table([("A", "B"), ("long", "x")]) == "A     B\nlong  x"
