import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.errors import PatchError, SetupError
from sandbox.git import GitError
from sandbox.patch import EXECUTABLE, FILE, SYMLINK, Change, Patch, PatchLimits, decode_path
from sandbox.trees import EMPTY_TREE, Base, TreeStore

ODD = decode_path(b"caf\xe9/na\xefve")
FILES = [
    ("README", FILE, b"one\ntwo\nthree\n"),
    ("bin/tool", EXECUTABLE, b"#!/bin/sh\necho\n"),
    ("data/blob.bin", FILE, bytes(range(256)) * 3),
    ("data/crlf.txt", FILE, b"a\r\nb\r\n"),
    ("data/empty", FILE, b""),
    ("data/no-newline", FILE, b"end"),
    ('docs/line\nbreak "quoted" \\ \t.txt', FILE, b"odd\n"),
    (ODD, FILE, b"latin-1 \xe9\n"),
    ("link", SYMLINK, b"README"),
    ("ünï cødé/a b", FILE, "…\n".encode()),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TreeStore:
    return TreeStore.create(tmp_path_factory.mktemp("store") / "trees")


@pytest.fixture(scope="module")
def base(store: TreeStore) -> str:
    return store.add_tree(FILES)


def contents(store: TreeStore, tree: str) -> dict[str, tuple[int, bytes]]:
    entries = store.entries(tree)
    blobs = store.read(entry.blob for entry in entries)
    return {e.path: (e.mode, content) for e, content in zip(entries, blobs, strict=True)}


def test_what_goes_in_comes_out_to_the_byte(store: TreeStore, base: str) -> None:
    assert contents(store, base) == {path: (mode, content) for path, mode, content in FILES}
    for entry, content in zip(
        store.entries(base), store.read(e.blob for e in store.entries(base)), strict=True
    ):
        assert entry.size == len(content)
        assert entry.blob == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def test_the_tree_is_the_one_that_git_makes_of_the_same_files(
    store: TreeStore, tmp_path: Path
) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "core.autocrlf=false"]
    subprocess.run([*git, "init", "-q"], check=True)
    for path, mode, content in FILES:
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if mode == SYMLINK:
            place.symlink_to(os.fsdecode(content))
        else:
            place.write_bytes(content)
            place.chmod(mode & 0o777)
    subprocess.run([*git, "add", "-A"], check=True)
    expected = subprocess.run([*git, "write-tree"], check=True, capture_output=True).stdout
    assert store.add_tree(FILES) == expected.decode().strip()


def test_the_order_of_files_does_not_matter(store: TreeStore, base: str) -> None:
    assert store.add_tree(reversed(FILES)) == base


def test_no_files_are_the_empty_tree(store: TreeStore) -> None:
    assert store.add_tree([]) == EMPTY_TREE
    assert store.entries(EMPTY_TREE) == []
    assert store.apply(EMPTY_TREE, Patch((Change("a", FILE, b"x"),))) != EMPTY_TREE


def test_files_are_taken_one_at_a_time(store: TreeStore) -> None:
    alive = 0
    most = 0

    class Content(bytes):
        def __new__(cls, value: bytes) -> "Content":
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return super().__new__(cls, value)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def files() -> Iterator[tuple[str, int, bytes]]:
        for number in range(50):
            yield f"file{number}", FILE, Content(b"%d" % number)

    store.add_tree(files())
    assert most <= 3


@pytest.mark.parametrize(
    "files",
    [
        [("a", FILE, b""), ("a", FILE, b"")],
        [("a", FILE, b""), ("a/b", FILE, b"")],
        [("a/b", FILE, b""), ("a", FILE, b"")],
        [("../a", FILE, b"")],
        [(".git/config", FILE, b"")],
        [("sub", 0o160000, b"")],
    ],
)
def test_files_that_no_tree_may_have_are_refused(
    store: TreeStore, files: list[tuple[str, int, bytes]]
) -> None:
    with pytest.raises(PatchError):
        store.add_tree(files)


def test_a_file_by_path_is_found_or_none(store: TreeStore, base: str) -> None:
    assert store.blob(base, "README") == b"one\ntwo\nthree\n"
    assert store.blob(base, "link") == b"README"
    assert store.blob(base, ODD) == b"latin-1 \xe9\n"
    assert store.blob(base, 'docs/line\nbreak "quoted" \\ \t.txt') == b"odd\n"
    assert store.blob(base, "data") is None
    assert store.blob(base, "data/") is None
    assert store.blob(base, "READM") is None
    assert store.blob(base, "data/*") is None


def test_an_unknown_blob_raises(store: TreeStore) -> None:
    with pytest.raises(KeyError):
        list(store.read(["0" * 40]))


def test_an_unknown_tree_raises(store: TreeStore) -> None:
    with pytest.raises(GitError):
        store.entries("0" * 40)
    with pytest.raises(GitError):
        store.apply("1" * 40, Patch((Change("a", FILE, b""),)))


PATCH = Patch(
    (
        Change("README", FILE, b"one\n2\nthree"),
        Change("bin/tool", FILE, b"#!/bin/sh\necho\n"),
        Change("data/blob.bin", FILE, bytes(range(255, -1, -1))),
        Change("data/crlf.txt", FILE, b"a\r\nb\n"),
        Change("data/empty", None, None),
        Change("link", None, None),
        Change(ODD, FILE, b"latin-1 \xe8\n"),
        Change("new/deep/file", EXECUTABLE, b"\x00\x01"),
        Change("ünï cødé/a b", FILE, b"\xff\xfe\r\r\n"),
    )
)


def test_a_patch_applies_and_is_found_again(store: TreeStore, base: str) -> None:
    new = store.apply(base, PATCH)
    expected = {path: (mode, content) for path, mode, content in FILES}
    for change in PATCH:
        if change.mode is None or change.content is None:
            del expected[change.path]
        else:
            expected[change.path] = (change.mode, change.content)
    assert contents(store, new) == expected
    assert store.between(base, new) == PATCH


def test_a_rendered_diff_is_read_back_as_the_same_patch(store: TreeStore, base: str) -> None:
    text = store.diff(base, store.apply(base, PATCH))
    assert store.from_diff(base, text) == PATCH


def test_a_diff_of_chosen_paths_has_only_these(store: TreeStore, base: str) -> None:
    new = store.apply(base, PATCH)
    text = store.diff(base, new, ["README", ODD])
    assert set(store.from_diff(base, text).paths) == {"README", ODD}
    assert store.diff(base, new, []) == b""
    assert store.diff(base, new, ["READ*"]) == b""


def test_folders_and_files_take_each_others_place(store: TreeStore, base: str) -> None:
    removed = [Change(path, None, None) for path, *_ in FILES if path.startswith("data/")]
    patch = Patch((*removed, Change("data", FILE, b"now a file\n")))
    with_file = store.apply(base, patch)
    assert store.blob(with_file, "data") == b"now a file\n"
    assert store.between(base, with_file) == patch
    back = Patch((Change("data", None, None), Change("data/x", FILE, b"x")))
    assert store.blob(store.apply(with_file, back), "data/x") == b"x"


def test_an_empty_patch_and_a_deletion_of_nothing_change_nothing(
    store: TreeStore, base: str
) -> None:
    assert store.apply(base, Patch()) == base
    assert store.apply(base, Patch((Change("never/there", None, None),))) == base
    assert store.between(base, base) == Patch()


def test_a_patch_that_must_not_be_applied_is_refused(store: TreeStore, base: str) -> None:
    for change in (
        Change(".git/hooks/x", FILE, b""),
        Change("link/x", FILE, b""),
        Change("new-link", SYMLINK, b"/etc/passwd"),
        Change("README/x", FILE, b""),
        Change("data", FILE, b""),
    ):
        with pytest.raises(PatchError):
            store.apply(base, Patch((change,)))


def test_a_link_in_the_new_tree_is_no_patch(store: TreeStore, base: str) -> None:
    other = store.add_tree([*FILES, ("second", SYMLINK, b"/etc/passwd")])
    with pytest.raises(PatchError, match="symbolic link"):
        store.between(base, other)


def test_sizes_are_checked_before_contents_are_read(
    store: TreeStore, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = store.apply(base, PATCH)
    monkeypatch.setattr(store, "read", lambda oids: pytest.fail("contents were read"))
    with pytest.raises(PatchError, match="large"):
        store.between(base, new, PatchLimits(file_bytes=100))


def test_a_commit_holds_the_tree(store: TreeStore, base: str) -> None:
    oid = store.commit(base, "A message\n\nwith two paragraphs")
    assert store.entries(oid) == store.entries(base)


def test_no_branch_is_left_behind(store: TreeStore) -> None:
    store.add_tree(FILES)
    assert [path for path in (store.folder / "refs").rglob("*") if path.is_file()] == []


def test_a_store_opens_again_and_is_private(store: TreeStore, base: str) -> None:
    assert TreeStore.open(store.folder).entries(base) == store.entries(base)
    assert TreeStore.create(store.folder).entries(base) == store.entries(base)
    assert store.folder.stat().st_mode & 0o077 == 0


def test_a_store_that_is_not_there_or_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no tree store"):
        TreeStore.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be made"):
        TreeStore.create(tmp_path / "file" / "store")


def test_a_base_ignores_by_its_own_rules(store: TreeStore, base: str) -> None:
    rules = (("", ("*.pyc", "build/")), ("data", ("!keep.pyc",)))
    prepared = Base(store, base, rules)
    assert prepared.ignores("a.pyc")
    assert prepared.ignores("build/x")
    assert not prepared.ignores("data/keep.pyc")
    assert not prepared.ignores("README")
    assert list(prepared.entries.values()) == store.entries(base)


LINES = st.lists(
    st.sampled_from(
        [b"a\n", b"b\n", b"\r\n", b"c\r\n", b"\0", b"\xff\n", b"", b"--- a/x\n", b"end"]
    ),
    max_size=12,
).map(b"".join)
PLACES = st.sampled_from(["a", "b", "d/a", "d/e/f", "é x/y", "-dash", "q\\uote"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    old=st.dictionaries(PLACES, st.tuples(st.sampled_from([FILE, EXECUTABLE]), LINES), max_size=5),
    new=st.dictionaries(PLACES, st.tuples(st.sampled_from([FILE, EXECUTABLE]), LINES), max_size=5),
)
def test_any_change_survives_the_way_through_diff_text(
    store: TreeStore, old: dict[str, tuple[int, bytes]], new: dict[str, tuple[int, bytes]]
) -> None:
    before = store.add_tree((path, *state) for path, state in old.items())
    after = store.add_tree((path, *state) for path, state in new.items())
    patch = store.between(before, after)
    assert store.apply(before, patch) == after
    if patch:
        assert store.from_diff(before, store.diff(before, after)) == patch
