import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.tool import ToolError
from tools.unified import DiffError, HunkNumbers, looks_like_diff, parse_unified

GIT = """diff --git a/src/a.py b/src/a.py
index 1111111..2222222 100644
--- a/src/a.py
+++ b/src/a.py
@@ -1,3 +1,3 @@ def f():
 one
-two
+2
 three
"""


def test_a_git_diff_is_read():
    (change,) = parse_unified(GIT)
    assert (change.kind, change.path) == ("update", "src/a.py")
    (hunk,) = change.hunks
    assert hunk.expected == 0
    assert [line.kind for line in hunk.lines] == [" ", "-", "+", " "]


def test_a_plain_diff_with_times_and_without_prefixes_is_read():
    text = "--- a.py\t2026-01-01 10:00:00\n+++ a.py\t2026-01-02 10:00:00\n@@ -1 +1 @@\n-x\n+y\n"
    (change,) = parse_unified(text)
    assert change.path == "a.py"


def test_only_whole_pairs_of_prefixes_are_taken_off():
    (change,) = parse_unified("--- a/x.py\n+++ a/x.py\n@@ -1 +1 @@\n-x\n+y\n")
    assert change.path == "a/x.py"


def test_new_deleted_renamed_and_executable_files_are_told():
    text = (
        "diff --git a/new.sh b/new.sh\nnew file mode 100755\n--- /dev/null\n+++ b/new.sh\n"
        "@@ -0,0 +1 @@\n+#!/bin/sh\n\\ No newline at end of file\n"
        "diff --git a/old b/old\ndeleted file mode 100644\n--- a/old\n+++ /dev/null\n"
        "@@ -1 +0,0 @@\n-x\n"
        "diff --git a/from x b/to x\nsimilarity index 100%\nrename from from x\nrename to to x\n"
        "diff --git a/run b/run\nold mode 100644\nnew mode 100755\n"
    )
    new, deleted, renamed, mode = parse_unified(text)
    assert (new.kind, new.content, new.executable) == ("add", "#!/bin/sh", True)
    assert (deleted.kind, deleted.path) == ("delete", "old")
    assert (renamed.path, renamed.move_to, renamed.hunks) == ("from x", "to x", ())
    assert (mode.path, mode.executable) == ("run", True)


def test_names_that_git_quotes_are_unquoted():
    text = (
        '--- "a/caf\\303\\251 \\"x\\".py"\n+++ "b/caf\\303\\251 \\"x\\".py"\n@@ -1 +1 @@\n-x\n+y\n'
    )
    assert parse_unified(text)[0].path == 'café "x".py'


@pytest.mark.parametrize("numbers", ["-1,9 +1,9", "-1,1 +1,1", "-1 +1", "-90,2 +3,5"])
def test_wrong_counts_do_not_matter(numbers):
    text = GIT.replace("-1,3 +1,3", numbers) + GIT
    first, second = parse_unified(text)
    assert len(first.hunks[0].lines) == 4
    assert first.hunks[0].lines == second.hunks[0].lines


def test_right_counts_tell_a_deleted_line_of_dashes_from_a_header():
    text = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n--- x\n+++ y\n z\n"
    (change,) = parse_unified(text)
    assert [line.text for line in change.hunks[0].lines] == ["-- x", "++ y", "z"]


def test_right_counts_tell_a_deleted_dash_from_a_mails_signature():
    (change,) = parse_unified("--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n a\n-- \n")
    assert [line.text for line in change.hunks[0].lines] == ["a", "- "]


def test_a_mails_signature_is_no_deletion_even_where_the_counts_are_wrong():
    text = GIT.replace("-1,3 +1,3", "-1,9 +1,9") + "-- \n2.39.2\n\n"
    assert [len(change.hunks[0].lines) for change in parse_unified(text)] == [4]


def test_a_hunk_mark_without_numbers_is_an_anchor():
    (change,) = parse_unified("--- a/f\n+++ b/f\n@@ def f():\n-x\n+y\n")
    assert change.hunks[0].anchors == ("def f():",)
    assert change.hunks[0].expected is None


def test_what_surrounds_a_diff_in_a_mail_is_looked_past():
    text = f"From: me\nSubject: fix\n\nwords\n---\n a.py | 2 +-\n\n{GIT}-- \n2.39.2\n\n"
    assert [len(change.hunks[0].lines) for change in parse_unified(text)] == [4]


def test_an_empty_line_inside_a_hunk_is_empty_context():
    (change,) = parse_unified("--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n")
    assert [line.text for line in change.hunks[0].lines] == ["a", "", "b", "c"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("diff --git a/x b/x\nindex 1..2\nGIT binary patch\n", "binary file"),
        ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", "binary file"),
        ("diff --git a/x b/x\nnew file mode 120000\n", "mode 120000"),
        ("diff --git a/x b/y\ncopy from x\ncopy to y\n", "copies x to y"),
        ("diff --git a/x b/x\nindex 1..2\n", "no hunk"),
        (GIT + "oops\n", "Line 10 of the diff is neither"),
        ("--- a/x\n+++ b/x\n", "changes no file"),
        ("--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n+x\n", "names no file"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n", "has no lines"),
    ],
)
def test_what_cannot_be_applied_is_refused_in_words(text, said):
    with pytest.raises(DiffError, match=said):
        parse_unified(text)


def test_numbers_point_at_the_line_that_new_ones_go_before():
    assert HunkNumbers.read("@@ -5,0 +6,2 @@").old_index == 5
    assert HunkNumbers.read("@@ -5,2 +5,2 @@").old_index == 4
    assert HunkNumbers.read("@@ def f():") is None


def test_a_diff_is_told_from_other_text():
    assert looks_like_diff(GIT)
    assert not looks_like_diff("a --- b\n+++ c")


PARTS = st.sampled_from([*GIT.split("\n"), "--- /dev/null", "\\ No newline", "-- ", "rename to x"])


@given(st.lists(PARTS | st.text(max_size=8), max_size=15))
def test_any_text_is_read_or_refused_in_words(parts):
    try:
        parse_unified("\n".join(parts))
    except ToolError as error:
        assert str(error)
