import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tools.content import decode
from tools.edit import EditError, replace_text, summary

CODE = """def total(items):
    result = 0
    for item in items:
        result += item.price
    return result


def count(items):
\tresult = 0
\treturn result
"""


def refusal(text: str, old: str, new: str = "something else") -> str:
    with pytest.raises(EditError) as caught:
        replace_text(text, old, new)
    return str(caught.value)


def test_a_text_that_stands_once_is_replaced():
    edited = replace_text(CODE, "result += item.price", "result += item.price * item.number")
    assert edited.text == CODE.replace("item.price", "item.price * item.number")
    assert summary(edited, "shop.py") == "Edited shop.py: line 4."


def test_a_text_that_stands_several_times_lists_its_lines():
    text = refusal(CODE, "return result")
    assert "stands 2 times" in text
    assert "line 5: return result" in text
    assert "line 10: return result" in text
    assert "replace_all" in text


def test_overlapping_places_count_as_several():
    assert "stands 2 times" in refusal("aXaXa", "aXa")


def test_replace_all_replaces_every_place():
    edited = replace_text("x = x + x\n", "x", "yy", replace_all=True)
    assert edited.text == "yy = yy + yy\n"
    assert summary(edited, "a.py") == "Edited a.py in 3 places: lines 1, 1, 1."


def test_several_lines_are_told_as_a_span():
    edited = replace_text("a\nb\nc\n", "b\n", "b1\nb2\nb3\n")
    assert edited.spans == ((2, 4),)


def test_empty_and_equal_texts_are_refused():
    assert "empty" in refusal(CODE, "")
    assert "nothing would change" in refusal(CODE, "result", "result")
    assert "the same" in refusal(CODE, "a\r\n", "a\n")


def test_a_wrong_indentation_is_explained():
    text = refusal(CODE, "for item in items:\n    result += item.price")
    assert "lines 3 to 4" in text
    assert "but for indentation" in text
    assert "Line 4 is indented with 8 spaces; that of old_text with 4 spaces" in text


def test_tabs_in_place_of_spaces_are_explained():
    text = refusal(CODE, "    result = 0\n    return result")
    assert "indented with 1 tab; that of old_text with 4 spaces" in text


def test_trailing_spaces_are_explained():
    text = refusal("a = 1  \nb = 2\n", "a = 1\nb = 2")
    assert "Line 1 ends with 2 spaces; that of old_text ends with no whitespace" in text


def test_a_typographic_quote_is_named():
    text = refusal("say(\u2018hi\u2019)\n", "say('hi')")
    assert "typographic characters" in text
    assert "LEFT SINGLE QUOTATION MARK" in text


def test_spacing_and_capitals_are_explained():
    assert "but for spacing" in refusal("f(a, b)\n", "f(a,b)")
    assert "but for capital letters" in refusal("Total = 1\n", "total = 1")


def test_the_nearest_region_is_shown_with_its_line_numbers():
    text = refusal(CODE, "    for item in items:\n        result += item.cost\n    return result")
    assert "4|         result += item.price" in text
    assert "the file has 'price'; old_text has 'cost'" in text


def test_nothing_alike_says_to_read_again():
    assert "read_file" in refusal(CODE, "zzzz qqqq wwww")


def test_copied_line_numbers_are_recognised():
    text = refusal(CODE, "3|     for item in items:\n4|         result += item.price")
    assert "carries the line numbers" in text
    assert "found at line 3" in text


def test_double_escaping_is_recognised():
    assert "escaped twice" in refusal(CODE, "result = 0\\n    for item")


def test_line_breaks_that_the_file_lacks_are_recognised():
    assert "line breaks" in refusal("a = 1", "a = 1\n")


def test_an_edit_that_was_made_before_is_recognised():
    assert "there already, at line 4" in refusal(CODE, "result += 1", "result += item.price")


def test_an_empty_file_is_named_as_such():
    assert "The file is empty" in refusal("", "a")


def test_crlf_files_match_texts_with_lf_and_keep_their_ends():
    edited = replace_text("a\r\nb\r\nc\r\n", "a\nb\n", "a\nx\ny\n")
    assert edited.text == "a\r\nx\r\ny\r\nc\r\n"


def test_mixed_line_ends_outside_of_the_change_stay():
    edited = replace_text("a\r\nb\nc\r\nd\ne", "a\nb\nc\nd\ne", "a\nb\nC\nx\nd\ne")
    assert edited.text == "a\r\nb\nC\r\nx\r\nd\ne"


def test_no_final_line_feed_stays_so():
    assert replace_text("a\nb", "b", "c").text == "a\nc"


ALPHABET = "ab \t\né"
PIECES = st.text(alphabet=ALPHABET, max_size=30)


@given(before=PIECES, old=st.text(alphabet=ALPHABET, min_size=1, max_size=8), after=PIECES,
       new=PIECES, everywhere=st.booleans())  # fmt: skip
def test_edits_agree_with_plain_string_replacement(before, old, after, new, everywhere):
    text = before + old + after
    unique = sum(text.startswith(old, i) for i in range(len(text))) == 1
    try:
        edited = replace_text(text, old, new, replace_all=everywhere).text
    except EditError:
        assert old == new or not (unique or everywhere)
    else:
        assert edited == text.replace(old, new)


@given(before=PIECES, old=st.text(alphabet=ALPHABET, min_size=1, max_size=8), after=PIECES,
       new=PIECES, mark=st.booleans())  # fmt: skip
def test_edits_of_crlf_files_are_the_edits_of_their_lf_twins(before, old, after, new, mark):
    text = before + old + after
    content = (b"\xef\xbb\xbf" if mark else b"") + text.replace("\n", "\r\n").encode()
    decoded = decode(content)
    try:
        edited = replace_text(decoded.text, old, new, replace_all=True).text
    except EditError:
        assert old == new
        return
    end = "\r\n" if "\n" in text else "\n"
    wanted = text.replace(old, new).replace("\n", end)
    assert decoded.encoding.encode(edited, "f") == content[: 3 if mark else 0] + wanted.encode()


@given(st.binary(max_size=40), st.binary(max_size=40), st.text(alphabet="xyz", max_size=5))
@example(b"\xfe\xff", b"", "x")  # a byte order mark: what follows is no ASCII then
def test_bytes_outside_of_the_edit_stay_exact(before, after, new):
    content = before + b"MARK" + after
    decoded = decode(content)
    if decoded is None or content.count(b"MARK") != 1:
        return
    wide = decoded.encoding.name.startswith("utf-16")
    if wide and "MARK" not in decoded.text:
        return
    edited = replace_text(decoded.text, "MARK", new).text
    if wide:
        assert decode(decoded.encoding.encode(edited, "f")).text == edited
    else:
        assert decoded.encoding.encode(edited, "f") == before + new.encode() + after


@given(st.text(alphabet="ab \n1|:", max_size=60), st.text(alphabet="ab \n1|:", max_size=20))
def test_every_refusal_is_in_words(text, old):
    try:
        replace_text(text, old, "new")
    except EditError as error:
        assert len(str(error)) > 10
