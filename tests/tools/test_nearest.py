import time

from tools.nearest import describe, matches, nearest_place, numbered


def test_the_region_with_most_lines_in_common_is_the_nearest():
    lines = ["def a():", "    return 1", "", "def b():", "    return 2", "    # end"]
    place = nearest_place(lines, ["def b():", "    return 3", "    # end"])
    assert place.first == 4
    assert place.differs_in == ""


def test_a_region_that_differs_in_blanks_only_says_in_which():
    place = nearest_place(["x", "  y  "], ["", "y", ""])
    assert (place.first, place.lines, place.differs_in) == (2, ("  y  ",), "indentation")


def test_text_that_is_not_much_alike_has_no_nearest_place():
    assert nearest_place(["alpha", "beta"], ["1234567"]) is None
    assert nearest_place(["alpha"], ["", "  "]) is None
    assert nearest_place([], ["a"]) is None


def test_a_description_shows_at_most_a_screen():
    lines = [f"line number {number}" for number in range(100)]
    place = nearest_place(lines, [*lines[:50], "other", *lines[51:]])
    text = describe(place, [*lines[:50], "other"], "the patch")
    assert "12| line number 11" in text.replace(" 12|", "12|")
    assert "88 more lines" in text
    assert "Line 51, from column 1" in text


def test_every_match_is_found_also_where_they_overlap():
    assert list(matches(["a", "a", "a"], ["a", "a"], str.strip)) == [0, 1]
    assert list(matches(["a"], ["a", "a"], str.strip)) == []
    assert list(matches(["", "", "b"], ["", "b"], str.strip)) == [1]


def test_repetitive_files_are_searched_in_a_moment():
    lines = ["same"] * 50_000
    start = time.monotonic()
    nearest_place(lines, ["same"] * 20_000 + ["other"])
    assert time.monotonic() - start < 5


def test_line_numbers_are_aligned():
    assert numbered(["a", "b"], 9, 10) == " 9| a\n10| b"
