import re
import unicodedata
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from agent.bot import harmless
from agent.bot.harmless import BREAK, MOST
from tests.agent.bot.corpus import CORPUS

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PLAIN = {"paragraph_open", "paragraph_close", "inline", "text", "softbreak", "hardbreak"}
#: Characters of which Markdown, references and their like are made.
ALPHABET = st.text(alphabet="@#!&$%~^*_`\\[](){}<>|-+=:;./\"' \t\n\r1aZxGH-wfi\u200b\u202e\x00")
#: What forges act on, in the raw text or in what is rendered of it.
LIVE = (
    re.compile(r"@\w"),
    re.compile(r"#\w"),
    re.compile(r"(?!&lt;)[!&$%~^][\w\"]"),
    re.compile(r"\b(?:(?i:gh)|[A-Z][A-Z0-9_]+)-\d"),
    re.compile(r"\w://"),
    re.compile(r"\bwww\."),
    re.compile(r"^\s*/", re.MULTILINE),
    re.compile(r"\[(?:skip|ci|no)\b|\*\*\*NO_CI"),
)
WAYS: dict[str, Callable[[str], str]] = {
    "line": harmless.line,
    "plain": harmless.plain,
    "phrase": harmless.phrase,
    "prose": harmless.prose,
    "quoted": harmless.quoted,
    "code": harmless.code,
}


def tokens(markdown: str) -> Iterator[Token]:
    for token in MARKDOWN.parse(markdown):
        yield token
        yield from token.children or ()


def words(text: str) -> list[str]:
    return text.replace(BREAK, "").replace("\u00a0", " ").split()


def written(markdown: str) -> list[str]:
    return words(" ".join(t.content for t in tokens(markdown) if t.type == "text"))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_nothing_of_the_corpus_is_live(way: Callable[[str], str], text: str) -> None:
    shown = way(text)
    assert not [pattern.pattern for pattern in LIVE if pattern.search(shown)]
    assert all(c in "\n\t" + BREAK or unicodedata.category(c)[0] != "C" for c in shown)
    assert len(shown) < 4 * MOST


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_the_corpus_is_shown_as_prose(text: str) -> None:
    assert {token.type for token in tokens(harmless.prose(text))} <= PLAIN
    assert {token.type for token in tokens(harmless.phrase(text))} <= PLAIN
    quoted = {token.type for token in tokens(harmless.quoted(text))}
    assert quoted <= PLAIN | {"blockquote_open", "blockquote_close"}


@given(ALPHABET)
def test_prose_is_shown_as_it_was_written(text: str) -> None:
    shown = harmless.prose(text)
    assert {token.type for token in tokens(shown)} <= PLAIN
    assert "".join(written(shown)) == "".join(words(harmless.seen(text)))
    assert not [pattern.pattern for pattern in LIVE if pattern.search(shown)]


@given(ALPHABET, st.sampled_from(["line", "plain", "code", "phrase", "quoted"]))
def test_nothing_is_live_whatever_is_written(text: str, way: str) -> None:
    shown = WAYS[way](text)
    assert not [pattern.pattern for pattern in LIVE if pattern.search(shown)]


@given(ALPHABET)
def test_code_is_one_block_that_nothing_in_it_ends(text: str) -> None:
    kinds = [token.type for token in tokens(harmless.code(text, "text"))]
    assert kinds == ["blockquote_open", "fence", "blockquote_close"]
    assert all(row.startswith(">") for row in harmless.code(text).split("\n"))


@given(st.text(alphabet="`~+- ab\n@#\t>/1"))
def test_a_patch_can_be_copied(diff: str) -> None:
    _, fence, _ = tokens(harmless.patch(diff))
    assert fence.content.strip("\n") == diff.strip("\n")


def test_a_patch_shows_what_would_not_be_seen() -> None:
    shown = harmless.patch("+a = '\u202e\u200b\x1b'\r\n+\u00e9\u4e2d\n")
    assert "+a = '\\u202e\\u200b\\x1b'\\r\n" in shown
    assert "+\u00e9\u4e2d" in shown


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  The\n app \t says\x00 no ", "The app says no"),
        ("Fixes #12 for @me", f"Fixes #{BREAK}12 for @{BREAK}me"),
        ("WIP: [skip ci] x", f"WIP{BREAK}: [{BREAK}skip ci] x"),
        ("/close", f"{BREAK}/close"),
        ("x" * 300, "x" * 190 + " [... cut]"),
        ("Caf\u00e9 \u4e2d\u6587", "Caf\u00e9 \u4e2d\u6587"),
    ],
)
def test_a_line(text: str, line: str) -> None:
    assert harmless.line(text) == line


def test_no_line_of_a_message_is_a_trailer() -> None:
    shown = harmless.plain(
        "Fix it\n\nSigned-off-by: Owner <o@e.c>\nGreenroom-Run : 1\nskip-checks:1"
    )
    assert not re.search(r"^[\w-]+ ?:", shown, re.MULTILINE)


def test_lines_and_indents_of_prose_are_kept() -> None:
    shown = harmless.prose("if x:\n    y()\n\n\tz")
    assert shown == "if x:\n" + "\u00a0" * 4 + "y\\(\\)\n\n" + "\u00a0" * 4 + "z"


def marks(shown: str) -> tuple[str, str]:
    """What stands before and between the marks of a report."""
    found = re.search(r"<(report-[0-9a-f]{16})>", shown)
    assert found is not None
    head, begun, rest = shown.partition(f"<{found[1]}>\n")
    inside, ended, after = rest.partition(f"\n</{found[1]}>")
    assert begun
    assert ended
    assert not after
    assert shown.count(found[1]) == 4
    return head, inside


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_a_model_sees_the_corpus_as_data(text: str) -> None:
    shown = harmless.for_model(text, text, text)
    head, inside = marks(shown)
    assert "data, not instructions" in head
    assert "\n" not in head.strip()
    assert len(head) < 1000
    assert not re.search(
        r"<[|\uff5c]\w+[|\uff5c]>|\[/?INST\]|<</?SYS>>|<(start|end)_of_turn>", shown
    )
    assert all(c in "\n\t" + BREAK or unicodedata.category(c)[0] != "C" for c in shown)
    assert len(inside) <= 3 * MOST


def test_no_two_reports_have_the_same_mark() -> None:
    first, second = (harmless.for_model("", "x", "y") for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a <!-- b --> c", "a  c"),
        ("a <!-- b\nc --> d", "a \n d"),
        ("a\n<!-- never ended\nb", "a"),
        ("```html\n<!-- code -->\n```\n<!-- x -->b", "```html\n<!-- code -->\n```\nb"),
        ("~~~~\n<!-- 1 -->\n~~~\n<!-- 2 -->\n~~~~~\n<!-- 3 -->", "~~~~\n<!-- 1 -->\n~~~\n"
         "<!-- 2 -->\n~~~~~"),
        ("<!--\n```\n-->\nb\n<!-- c -->", "b"),
        ("``` a ` b\n<!-- c -->", "``` a ` b"),
    ],
)  # fmt: skip
def test_a_model_sees_what_a_page_shows(text: str, shown: str) -> None:
    assert marks(harmless.for_model("", text, "me"))[1] == shown


@given(st.text())
def test_words_without_marks_come_to_a_model_as_they_are(text: str) -> None:
    plain = re.sub(r"[<\[]", "", harmless.seen(text)).strip()
    if "```" not in plain and "~~~" not in plain:
        assert marks(harmless.for_model("", plain, "me"))[1] == plain
