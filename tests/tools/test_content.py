import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.content import body, decode, line_end, main_line_end, split_lines
from tools.tool import ToolError

TEXTS = st.text(alphabet=st.characters(codec="utf-8"))
CONTENTS = st.one_of(
    st.binary(),
    TEXTS.map(lambda text: text.encode("utf-8")),
    TEXTS.map(lambda text: text.encode("utf-8-sig")),
    TEXTS.map(lambda text: b"\xff\xfe" + text.encode("utf-16-le")),
    st.binary().map(lambda raw: "naïve".encode() + raw.replace(b"\0", b"")),
)


@given(CONTENTS)
def test_a_file_read_as_text_gives_its_bytes_back(content):
    decoded = decode(content)
    if decoded is not None:
        assert decoded.encoding.encode(decoded.text, "f") == content


@pytest.mark.parametrize(
    ("content", "text", "said"),
    [
        (b"caf\xc3\xa9", "café", ""),
        (b"\xef\xbb\xbfx", "x", "byte order mark"),
        (b"\xff\xfeh\0i\0", "hi", "UTF-16"),
        (b"caf\xe9\n", "café\n", "Latin-1"),
        (b"caf\xc3\xa9 \xff", "café \udcff", "some bytes that are not"),
    ],
)
def test_encodings_are_recognised_and_described(content, text, said):
    decoded = decode(content)
    assert decoded is not None
    assert decoded.text == text
    assert said in decoded.encoding.description


@pytest.mark.parametrize("content", [b"\x89PNG\0\0", b"\xff\xfex\0y", b"a\0b"])
def test_a_file_that_holds_a_nul_or_half_a_character_is_binary(content):
    assert decode(content) is None


def test_a_character_that_the_files_encoding_lacks_is_named():
    decoded = decode(b"caf\xe9")
    with pytest.raises(ToolError, match=r"U\+20AC"):
        decoded.encoding.encode("café €", "menu.txt")


@given(st.text(alphabet="a\r\n\x0b\x85"))
def test_lines_end_at_line_feeds_only_and_join_to_the_text(text):
    lines = split_lines(text)
    assert "".join(lines) == text
    assert all("\n" not in body(line) for line in lines)
    assert all(body(line) + line_end(line) == line for line in lines)


def test_the_main_line_end_is_that_of_most_lines():
    assert main_line_end("a\r\nb\r\nc\n") == "\r\n"
    assert main_line_end("a\r\nb\n") == "\n"
    assert main_line_end("") == "\n"
