import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.envelope import EnvelopeError, parse_envelope
from tools.tool import ToolError

GOOD = """*** Begin Patch
*** Update File: a.py
@@ class A:
@@     def f(self):
     x = 1
-    y = 2
+    y = 3
*** End of File
*** Add File: b.txt
+one
+
+two
*** Delete File: c.txt
*** End Patch"""


def test_every_part_of_the_format_is_read():
    update, add, delete = parse_envelope(GOOD)
    (hunk,) = update.hunks
    assert hunk.anchors == ("class A:", "    def f(self):")
    assert hunk.at_end
    assert [(line.kind, line.text) for line in hunk.lines] == [
        (" ", "    x = 1"),
        ("-", "    y = 2"),
        ("+", "    y = 3"),
    ]
    assert (add.kind, add.path, add.content) == ("add", "b.txt", "one\n\ntwo\n")
    assert (delete.kind, delete.path) == ("delete", "c.txt")


@pytest.mark.parametrize(
    "wrapped",
    [
        f"apply_patch <<'EOF'\n{GOOD}\nEOF",
        f"```diff\n{GOOD}\n```",
        GOOD.replace("*** Begin Patch", "  *** Begin Patch  "),
        GOOD.replace("*** Add File: b.txt", "  *** Add File:   b.txt "),
        GOOD.replace("\n", "\r\n"),
    ],
)
def test_what_models_put_around_a_patch_is_looked_past(wrapped):
    changes, plain = parse_envelope(wrapped), parse_envelope(GOOD)
    assert changes[1:] == plain[1:]
    assert changes[0].hunks[0].lines == plain[0].hunks[0].lines


def test_hunks_are_split_at_their_marks_and_the_first_needs_none():
    text = (
        "*** Begin Patch\n*** Update File: a\n-1\n+2\n@@\n-3\n\n@@ -7,1 +7,1 @@\n-4\n*** End Patch"
    )
    (change,) = parse_envelope(text)
    assert [len(hunk.lines) for hunk in change.hunks] == [2, 2, 1]
    assert change.hunks[1].lines[-1].blank
    assert change.hunks[2].expected == 6


def test_unified_headers_below_the_files_own_are_skipped():
    text = "*** Begin Patch\n*** Update File: a\n--- a/a\n+++ b/a\n@@\n-1\n*** End Patch"
    (change,) = parse_envelope(text)
    assert [line.text for line in change.hunks[0].lines] == ["1"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["*** Update File: a", "@@", "-1"], "ends without"),
        (["*** Update File: a", "*** End Patch"], "no changed lines"),
        (["*** Update File: a", "@@", "*** End Patch"], "has no lines below its @@"),
        (["*** Update File: a", "@@", "oops", "*** End Patch"], "Line 4 of the patch"),
        (["*** Update File:", "@@", "*** End Patch"], "names no file"),
        (["*** Add File: a", "oops", "*** End Patch"], r"every line begins with \+"),
        (["*** Rename File: a", "*** End Patch"], "was expected; there is"),
        (["*** End Patch"], "changes no file"),
        (["*** Delete File: a", "*** End Patch", "and then"], "nothing may follow"),
        (["*** Delete File: a", "*** Begin Patch", "*** End Patch"], "stands 2 times"),
    ],
)
def test_a_break_of_the_format_is_named_by_its_line(lines, said):
    with pytest.raises(EnvelopeError, match=said):
        parse_envelope("\n".join(["*** Begin Patch", *lines]))


PARTS = st.sampled_from(
    [*GOOD.split("\n"), "", "--- a", "+++ b", "*** Move to: z", "\\ No newline"]
)


@given(st.lists(PARTS | st.text(max_size=8), max_size=15))
def test_any_text_is_read_or_refused_in_words(parts):
    try:
        parse_envelope("\n".join(["*** Begin Patch", *parts, "*** End Patch"]))
    except ToolError as error:
        assert str(error)
