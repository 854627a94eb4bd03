import pytest

from tools.hunks import Hunk, HunkError, HunkLine, apply_hunks

CODE = """class A:
    def run(self):
        x = 1
        return x

class B:
    def run(self):
        x = 1
        return x
"""


def hunk(*lines: str, **more) -> Hunk:
    return Hunk("Hunk 1", tuple(HunkLine(line[0], line[1:]) for line in lines), **more)


def test_a_hunk_is_found_by_its_context():
    applied = apply_hunks("a\nb\nc\n", [hunk(" a", "-b", "+B")], "f")
    assert applied.text == "a\nB\nc\n"
    assert applied.notes == ()


def test_anchors_choose_among_places_that_look_alike():
    change = hunk("-        x = 1", "+        x = 2", anchors=("class B:", "    def run(self):"))
    applied = apply_hunks(CODE, [change], "f")
    assert applied.text == CODE[: CODE.index("class B")] + CODE[CODE.index("class B") :].replace(
        "x = 1", "x = 2"
    )


def test_an_anchor_may_be_given_in_part_and_repeated_as_context():
    change = hunk(" class B:", "     def run(self):", "-        x = 1", anchors=("class B",))
    assert apply_hunks(CODE, [change], "f").text.count("x = 1") == 1


def test_without_anything_to_tell_them_apart_the_first_place_is_taken_and_said():
    applied = apply_hunks(CODE, [hunk("-        x = 1", "+        x = 2")], "f")
    assert applied.text.index("x = 2") < applied.text.index("class B")
    assert applied.notes == ("Hunk 1 of f fits at lines 3, 8; the first was taken",)


def test_an_unknown_anchor_with_several_places_is_an_error():
    with pytest.raises(HunkError, match="fits at lines 3, 8"):
        apply_hunks(CODE, [hunk("-        x = 1", anchors=("class C:",))], "f")


def test_an_unknown_anchor_does_no_harm_where_one_place_fits():
    applied = apply_hunks("a\nb\n", [hunk("-b", "+c", anchors=("def gone():",))], "f")
    assert applied.text == "a\nc\n"


def test_hunks_go_down_the_file_one_after_the_other():
    change = hunk("-        x = 1", "+        x = 2")
    assert apply_hunks(CODE, [change, change], "f").text == CODE.replace("x = 1", "x = 2")


def test_hunks_in_another_order_than_the_files_are_still_placed():
    applied = apply_hunks("a\nb\nc\n", [hunk("-c", "+C"), hunk("-a", "+A")], "f")
    assert applied.text == "A\nb\nC\n"


def test_line_numbers_choose_the_nearest_place():
    change = hunk("-        x = 1", "+        x = 2", expected=6)
    assert apply_hunks(CODE, [change], "f").text.index("x = 2") > CODE.index("class B")


def test_a_hunk_at_the_end_of_the_file_is_looked_for_there_first():
    applied = apply_hunks("x\ny\nx\n", [hunk("-x", "+z", at_end=True)], "f")
    assert applied.text == "x\ny\nz\n"


def test_added_lines_alone_go_below_their_anchor_or_to_the_end():
    assert apply_hunks("a\nb\n", [hunk("+x", anchors=("a",))], "f").text == "a\nx\nb\n"
    assert apply_hunks("a\nb\n", [hunk("+x")], "f").text == "a\nb\nx\n"
    assert apply_hunks("", [hunk("+x")], "f").text == "x\n"
    with pytest.raises(HunkError, match="names no line of the file"):
        apply_hunks("a\n", [hunk("+x", anchors=("q",))], "f")


def test_trailing_whitespace_is_looked_past_and_the_files_form_kept():
    applied = apply_hunks("a  \nb\t\nc\n", [hunk(" a", "-b", "+B", " c ")], "f")
    assert applied.text == "a  \nB\nc\n"
    assert applied.notes == ("Hunk 1 of f matched line 1 but for trailing whitespace",)


def test_indentation_is_looked_past_and_added_lines_are_shifted_alike():
    text = "def f():\n        if x:\n            return 1\n"
    change = hunk("     if x:", "-        return 1", "+        return 2", "+", "+        # no")
    applied = apply_hunks(text, [change], "f")
    assert applied.text == ("def f():\n        if x:\n            return 2\n\n            # no\n")
    assert "but for indentation" in applied.notes[0]


def test_typographic_characters_are_looked_past():
    applied = apply_hunks("say(\u201chi\u201d)\nend\n", [hunk(' say("hi")', "-end")], "f")
    assert applied.text == "say(\u201chi\u201d)\n"


def test_crlf_files_keep_their_ends_and_added_lines_get_them():
    applied = apply_hunks("a\r\nb\r\n", [hunk(" a", "-b", "+x", "+y")], "f")
    assert applied.text == "a\r\nx\r\ny\r\n"


def test_the_final_line_feed_stays_as_it_was():
    assert apply_hunks("a\nb", [hunk("-b", "+c")], "f").text == "a\nc"
    assert apply_hunks("a\nb", [hunk(" b", "+c")], "f").text == "a\nb\nc"
    assert apply_hunks("a\nb\n", [hunk("-b", "+c")], "f").text == "a\nc\n"


def test_a_mark_decides_about_the_final_line_feed():
    gone = Hunk("h", (HunkLine("-", "b"), HunkLine("+", "c", "")))
    assert apply_hunks("a\nb\n", [gone], "f").text == "a\nc"
    back = Hunk("h", (HunkLine("-", "b", ""), HunkLine("+", "c")))
    assert apply_hunks("a\nb", [back], "f").text == "a\nc\n"


def test_a_hunk_that_fits_nowhere_shows_the_nearest_text():
    change = hunk("     def run(self):", "-        x = 10", "+        x = 2")
    with pytest.raises(HunkError) as caught:
        apply_hunks(CODE, [change], "a.py")
    text = str(caught.value)
    assert "Hunk 1 does not fit a.py" in text
    assert "3|         x = 1" in text
    assert "the file has nothing more; the patch has '0'" in text


def test_empty_lines_between_the_parts_of_a_patch_are_no_context():
    change = Hunk("h", (*hunk("-b", "+c").lines, HunkLine(" ", "", blank=True)))
    assert apply_hunks("a\nb\nd\n", [change], "f").text == "a\nc\nd\n"


def test_an_insertion_and_a_change_at_one_place_both_happen():
    insertion = hunk("+x", expected=1)
    change = hunk("-b", "-c", "+BC", expected=1)
    assert apply_hunks("a\nb\nc\n", [change, insertion], "f").text == "a\nx\nBC\n"
    assert apply_hunks("a\nb\nc\n", [insertion, change], "f").text == "a\nx\nBC\n"
