import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import PatchError
from sandbox.patch import FILE, SYMLINK, Change, Patch, PatchLimits
from sandbox.trees import TreeStore

CODE = "".join(f"line {number}\n" for number in range(1, 21)).encode()
FILES = [
    ("src/code.py", FILE, CODE),
    ("src/crlf.txt", FILE, CODE.replace(b"\n", b"\r\n")),
    ("top.txt", FILE, b"first\nsecond\nthird\n"),
    ("link", SYMLINK, b"top.txt"),
]
PLAIN = b"""\
--- a/top.txt
+++ b/top.txt
@@ -1,3 +1,3 @@
 first
-second
+SECOND
 third
"""
CHANGED = Patch((Change("top.txt", FILE, b"first\nSECOND\nthird\n"),))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TreeStore:
    return TreeStore.create(tmp_path_factory.mktemp("store") / "trees")


@pytest.fixture(scope="module")
def base(store: TreeStore) -> str:
    return store.add_tree(FILES)


@pytest.fixture
def refused(store: TreeStore, base: str):  # type: ignore[no-untyped-def]
    def refuse(text: bytes) -> PatchError:
        with pytest.raises(PatchError) as caught:
            store.from_diff(base, text)
        assert caught.value.message.isprintable()
        return caught.value

    return refuse


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param(b"diff --git a/top.txt b/top.txt\n" + PLAIN, id="git header"),
        pytest.param(PLAIN.replace(b" a/", b" ").replace(b" b/", b" "), id="no prefix"),
        pytest.param(PLAIN.replace(b" a/", b" old/").replace(b" b/", b" new/"), id="other prefix"),
        pytest.param(PLAIN.replace(b"\n", b"\r\n"), id="converted to CR LF"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN, id="byte order mark"),
        pytest.param(b"\xff\xfe" + PLAIN.decode().encode("utf-16-le"), id="PowerShell"),
        pytest.param(b"Subject: fix\n\nSome words.\n---\n top.txt | 2 +-\n\n" + PLAIN, id="mail"),
        pytest.param(PLAIN + b"-- \n2.39.5\n\n", id="mail signature"),
        pytest.param(
            b"--- top.txt.orig\t2020-01-01 00:00:00\n+++ top.txt\t2020-01-02 00:00:00\n"
            + PLAIN.split(b"\n", 2)[2],
            id="diff -u against a copy",
        ),
        pytest.param(
            b"--- a/top.txt\n+++ b/top.txt\n@@ -2 +2 @@\n-second\n+SECOND\n", id="no context"
        ),
    ],
)
def test_the_same_change_is_read_from_every_form(store: TreeStore, base: str, text: bytes) -> None:
    assert store.from_diff(base, text) == CHANGED


def test_a_change_of_a_crlf_file_keeps_its_endings(store: TreeStore, base: str) -> None:
    new = CODE.replace(b"\n", b"\r\n").replace(b"line 3\r", b"line three\r")
    patch = Patch((Change("src/crlf.txt", FILE, new),))
    text = store.diff(base, store.apply(base, patch))
    assert store.from_diff(base, text) == patch
    # A mailer that turns the header lines to CR LF as well leaves the content as it was.
    assert store.from_diff(base, text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")) == patch


def test_what_git_itself_writes_is_read(store: TreeStore, base: str, tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "top.txt").write_bytes(b"first\nsecond\nthird\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_bytes(CODE)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    (tmp_path / "top.txt").write_bytes(b"first\nSECOND\nthird\n")
    (tmp_path / "src" / "code.py").rename(tmp_path / "moved.py")
    (tmp_path / "raw").write_bytes(bytes(range(256)))
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "two"], check=True)
    expected = CHANGED.merge(
        Patch(
            (
                Change("src/code.py", None, None),
                Change("moved.py", FILE, CODE),
                Change("raw", FILE, bytes(range(256))),
            )
        )
    )
    commands = (
        ["diff", "--binary", "HEAD~1", "HEAD"],
        ["diff", "--binary", "-M", "HEAD~1", "HEAD"],
        ["log", "-p", "--binary", "-1"],
        ["format-patch", "--stdout", "--binary", "-1"],
        ["-c", "diff.noprefix=true", "diff", "--binary", "HEAD~1", "HEAD"],
        ["-c", "diff.mnemonicPrefix=true", "diff", "--binary", "HEAD~1", "HEAD"],
    )
    for command in commands:
        text = subprocess.run([*git, *command], check=True, capture_output=True).stdout
        assert store.from_diff(base, text) == expected, command


def test_several_plain_diffs_add_change_and_delete(store: TreeStore, base: str) -> None:
    text = (
        PLAIN
        + b"--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1 @@\n+new\n"
        + b"--- a/src/code.py\n+++ /dev/null\n@@ -1,20 +0,0 @@\n"
        + b"".join(b"-" + line + b"\n" for line in CODE.splitlines())
    )
    assert store.from_diff(base, text) == CHANGED.merge(
        Patch((Change("new.txt", FILE, b"new\n"), Change("src/code.py", None, None)))
    )


def test_the_file_and_line_of_a_hunk_that_does_not_fit_are_named(refused) -> None:  # type: ignore[no-untyped-def]
    error = refused(PLAIN.replace(b" first", b" other"))
    assert error.message == "The patch does not apply to top.txt: the hunk at line 1."
    assert "state that it is applied to" in error.hint


def test_a_file_that_is_not_there_is_named(refused) -> None:  # type: ignore[no-untyped-def]
    assert "gone.txt" in refused(PLAIN.replace(b"top.txt", b"gone.txt")).message


def test_a_broken_diff_is_said_to_be_corrupt(refused) -> None:  # type: ignore[no-untyped-def]
    assert "corrupt patch at line" in refused(PLAIN.replace(b"-1,3 +1,3", b"-1,3 +1,9")).message


def test_several_commits_in_a_log_get_the_hint(refused) -> None:  # type: ignore[no-untyped-def]
    second = PLAIN.replace(b"second", b"x")
    log = b"commit %s\n\n%s\ncommit %s\n\n%s" % (b"a" * 40, PLAIN, b"b" * 40, second)
    assert "git diff A..B" in refused(log).hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"<!DOCTYPE html><html><body>diff --cc</body></html>", "a web page"),
        (b"  <html>\n", "a web page"),
        (b"just words\n", "begin with: just words"),
        (b" top.txt | 2 +-\n 1 file changed\n", "There is no diff"),
        (b"\x1b[1mdiff --git a/x b/x\x1b[m\n\x1b[1m--- a/x\x1b[m\n", "coloured"),
        (
            b"diff --cc top.txt\nindex 1,2..3\n--- a/top.txt\n+++ b/top.txt\n@@@ -1 -1 +1 @@@\n",
            "merge",
        ),
        (b"\xff\xfe\x00\xd8\n", "UTF-16"),
        (b"\x1b]8;;evil\x07\n", "There is no diff"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "There is no diff"),
    ],
)
def test_what_is_no_diff_is_told_what_it_is(refused, text: bytes, said: str) -> None:  # type: ignore[no-untyped-def]
    assert said in refused(text).message


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (b"b/src/new.py", "src/new.py"),
        (b"src/new.py", "src/new.py"),
        (b"new.py", "new.py"),
        (b"w/new.py", "new.py"),
        (b"project-2.0/new.py", "new.py"),
    ],
)
def test_a_new_file_comes_to_the_place_that_is_meant(
    store: TreeStore, base: str, name: bytes, place: str
) -> None:
    text = b"--- /dev/null\n+++ %s\n@@ -0,0 +1 @@\n+x\n" % name
    assert store.from_diff(base, text).paths == (place,)
    text = b"diff --git %s %s\nnew file mode 100644\n" % (name, name) + text
    assert store.from_diff(base, text).paths == (place,)


@pytest.mark.parametrize("prefix", ["a", "b"])
def test_a_folder_named_as_a_prefix_does_not_mislead(store: TreeStore, prefix: str) -> None:
    tree = store.add_tree([(f"{prefix}/new.txt", FILE, b"x\n"), ("plain.txt", FILE, b"x\n")])
    for changes in (
        [Change("new.txt", FILE, b"y\n")],
        [Change(f"{prefix}/new.txt", FILE, b"y\n")],
        [Change(f"{prefix}/two words", FILE, b"y\n"), Change("plain.txt", None, None)],
        [Change("caf\udce9", FILE, b"y\n"), Change("new.txt", FILE, b"y\n")],
    ):
        patch = Patch(tuple(changes))
        assert store.from_diff(tree, store.diff(tree, store.apply(tree, patch))) == patch


def test_a_file_moved_between_folders_is_read_with_and_without_prefixes(store: TreeStore) -> None:
    tree = store.add_tree([("x/f", FILE, CODE)])
    new = CODE.replace(b"line 3\n", b"3\n")
    hunk = b"@@ -1,4 +1,4 @@\n line 1\n line 2\n-line 3\n+3\n line 4\n"
    moved = b"similarity index 90%\nrename from x/f\nrename to y/f\n"
    expected = Patch((Change("x/f", None, None), Change("y/f", FILE, new)))
    for old, other in ((b"", b""), (b"a/", b"b/")):
        head = b"diff --git %sx/f %sy/f\n" % (old, other)
        text = head + moved + b"--- %sx/f\n+++ %sy/f\n" % (old, other) + hunk
        assert store.from_diff(tree, text) == expected


@pytest.mark.parametrize("mark", [b"", b"a/", b"w/"])
def test_lines_that_look_like_headers_name_no_files(store: TreeStore, mark: bytes) -> None:
    comments = b"-- top\n-- a/f\nselect 1;\n++ b/f\n"
    tree = store.add_tree([("query.sql", FILE, comments), ("f", FILE, b""), ("b/f", FILE, b"")])
    for new in (b"select 1;\n", comments + b"++ x\n", b"-- top\nselect 1;\n"):
        patch = Patch((Change("query.sql", FILE, new),))
        text = store.diff(tree, store.apply(tree, patch))
        text = text.replace(b"a/query", mark + b"query").replace(b"b/query", mark + b"query")
        assert store.from_diff(tree, text) == patch
        plain = text[text.index(b"--- ") :]
        assert store.from_diff(tree, plain) == patch


def test_a_file_may_make_room_for_a_folder_when_the_diff_says_so(
    store: TreeStore, base: str
) -> None:
    for changes in (
        [Change("top.txt", None, None), Change("top.txt/x", FILE, b"x\n")],
        [Change("link", None, None), Change("link/x", FILE, b"x\n")],
        [*(Change(path, None, None) for path, *_ in FILES[:2]), Change("src", FILE, b"x\n")],
    ):
        patch = Patch(tuple(changes))
        assert store.from_diff(base, store.diff(base, store.apply(base, patch))) == patch


def test_text_that_is_too_long_is_refused(store: TreeStore, base: str) -> None:
    text = PLAIN + b"x" * 4000
    with pytest.raises(PatchError, match="are the most"):
        store.from_diff(base, text, PatchLimits(total_bytes=1000))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *(b"diff --git a/top.txt b/top.txt\n", b"--- a/top.txt\n", b"+++ b/top.txt\n"),
                *(b"@@ -1,3 +1,3 @@\n", b"@@ -1 +1 @@\n", b" first\n", b"-second\n", b"+x\n"),
                *(b"GIT binary patch\n", b"literal 3\n", b"rename from link\n", b"rename to y\n"),
                *(b"new file mode 120000\n", b"old mode 100644\n", b"new mode 100755\n"),
                *(b"deleted file mode 100644\n", b"\\ No newline at end of file\n", b"\xff\0\r\n"),
            ]
        ),
        max_size=12,
    ).map(b"".join)
)
def test_any_text_is_a_valid_patch_or_a_clear_refusal(
    store: TreeStore, base: str, text: bytes
) -> None:
    try:
        patch = store.from_diff(base, text)
    except PatchError as refusal:
        said = refusal.message
    else:
        said = "patch"
        assert all(change.mode in (None, 0o100644, 0o100755) for change in patch)
    assert said.isprintable()


def test_a_size_of_endless_digits_is_too_large(refused) -> None:  # type: ignore[no-untyped-def]
    text = b"diff --git a/x b/x\nnew file mode 100644\nGIT binary patch\nliteral " + b"9" * 5001
    assert "declares binary contents of" in refused(text + b"\nzcmV\n").message
