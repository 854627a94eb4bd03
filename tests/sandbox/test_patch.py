import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import PatchError
from sandbox.patch import (
    EXECUTABLE,
    FILE,
    GITLINK,
    SYMLINK,
    Change,
    Patch,
    PatchLimits,
    check_patch,
    check_path,
    check_place,
    decode_path,
    encode_path,
    parents,
    printable,
)

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\0:", exclude_categories=["Cc"]),
    min_size=1,
    max_size=20,
).filter(lambda name: name not in (".", "..") and "git" not in name.lower())
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
ROOT_NAMES = PATHS.filter(lambda path: path[1:2] != ":")
CHANGES = st.builds(
    lambda path, mode, content: Change(path, mode, None if mode is None else content),
    ROOT_NAMES,
    st.sampled_from([None, FILE, EXECUTABLE]),
    st.binary(max_size=30),
)


def written(path: str, content: bytes = b"x", mode: int = FILE) -> Change:
    return Change(path, mode, content)


def removed(path: str) -> Change:
    return Change(path, None, None)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a/..",
        "..\\up",
        "a\\..\\b",
        "C:/x",
        "c:\\x",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        ".",
        "nul\0inside",
        ".git/config",
        ".GIT/config",
        ".gIt",
        "sub/.git/hooks/pre-commit",
        "sub\\.git\\config",
        "git~1/config",
        "GIT~1/config",
        "git~2/config",
        ".git /config",
        ".git./config",
        ".git. . /config",
        ".git::$INDEX_ALLOCATION/config",
        ".git:stream",
        "git~1:x/config",
        ".g\u200cit/config",
        ".\u200dGI\u206aT\ufeff/config",
        "\u202e.git/config",
        "a/" * 2100 + "b",
        "n" * 256,
        "\ud800",
    ],
)
def test_paths_out_of_the_tree_or_into_a_git_folder_are_refused(path: str) -> None:
    with pytest.raises(PatchError):
        check_place(path)
    with pytest.raises(PatchError):
        check_path(path)


@pytest.mark.parametrize("path", ["line\nbreak", "tab\there", "escape\x1b[2J", "del\x7f", "\r"])
def test_control_characters_may_be_in_a_base_but_not_in_a_change(path: str) -> None:
    check_place(path)
    with pytest.raises(PatchError, match="control characters"):
        check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "src/main.py",
        ".gitignore",
        ".github/workflows/ci.yml",
        "git",
        "git~x",
        ".gitx/a",
        "x.git/a",
        "…/é ü/日本",
        "...",
        "a..b",
        "with space ",
        "back\\slash",
        "a:b",
        decode_path(b"latin-\xe9"),
    ],
)
def test_ordinary_and_odd_paths_are_accepted(path: str) -> None:
    check_path(path)


@given(st.text(max_size=40))
def test_any_text_is_either_accepted_or_refused_as_a_path(path: str) -> None:
    try:
        check_path(path)
    except PatchError as error:
        refusal: PatchError | None = error
    else:
        refusal = None
    if refusal is not None:
        assert refusal.message.isprintable()
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert ".git" not in path.lower().split("/")


@given(st.binary(max_size=30))
def test_bytes_of_paths_survive_decoding(raw: bytes) -> None:
    assert encode_path(decode_path(raw)) == raw


def test_a_message_shows_control_characters_escaped() -> None:
    assert printable("a\x1b[2J\u202eb\n") == "a\\x1b[2J\\u202eb\\n"
    assert printable("caf\udce9 \ud800") == "caf\\xe9 \\ud800"


@given(st.lists(CHANGES, unique_by=lambda change: change.path, max_size=6), st.randoms())
def test_a_patch_is_the_same_in_any_order(changes: list[Change], random: object) -> None:
    shuffled = list(changes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Patch(tuple(changes)) == Patch(tuple(shuffled))
    assert Patch(tuple(changes)).digest() == Patch(tuple(shuffled)).digest()


@given(
    st.lists(CHANGES, unique_by=lambda change: change.path, max_size=4),
    st.lists(CHANGES, unique_by=lambda change: change.path, max_size=4),
)
def test_equal_digests_mean_equal_patches(one: list[Change], other: list[Change]) -> None:
    first, second = Patch(tuple(one)), Patch(tuple(other))
    assert (first.digest() == second.digest()) == (first == second)


@given(
    st.lists(CHANGES, unique_by=lambda change: change.path, max_size=4),
    st.lists(CHANGES, unique_by=lambda change: change.path, max_size=4),
)
def test_merging_lets_the_later_patch_decide(one: list[Change], other: list[Change]) -> None:
    merged = Patch(tuple(one)).merge(Patch(tuple(other)))
    states = {change.path: change for change in one} | {change.path: change for change in other}
    assert {change.path: change for change in merged} == states


def test_a_path_that_comes_twice_is_refused() -> None:
    with pytest.raises(PatchError, match="twice"):
        Patch((written("a"), removed("a")))


def test_a_patch_tells_its_paths_and_size() -> None:
    patch = Patch((written("b", b"123"), removed("a")))
    assert patch.paths == ("a", "b")
    assert patch.size == 3
    assert patch
    assert not Patch()
    assert patch.only(["a"]) == Patch((removed("a"),))


@pytest.mark.parametrize(
    ("mode", "what"),
    [(SYMLINK, "symbolic link"), (GITLINK, "submodule"), (0o100777, "100777"), (0o40000, "40000")],
)
def test_only_regular_files_may_be_written(mode: int, what: str) -> None:
    with pytest.raises(PatchError, match=what):
        check_patch(Patch((written("a", mode=mode),)))


def test_a_change_without_a_content_or_without_a_mode_is_refused() -> None:
    with pytest.raises(PatchError, match="lacks"):
        check_patch(Patch((Change("a", FILE, None),)))
    with pytest.raises(PatchError, match="lacks"):
        check_patch(Patch((Change("a", None, b""),)))


def test_too_many_or_too_large_changes_are_refused_with_the_numbers() -> None:
    limits = PatchLimits(changes=2, file_bytes=10, total_bytes=15)
    check_patch(Patch((written("a", b"0123456789"), written("b", b"01234"))), limits)
    with pytest.raises(PatchError, match="3 files; at most 2"):
        check_patch(Patch((written("a"), written("b"), removed("c"))), limits)
    with pytest.raises(PatchError, match="11 bytes large; at most 10"):
        check_patch(Patch((written("a", b"0" * 11),)), limits)
    with pytest.raises(PatchError, match="16 bytes together; at most 15"):
        check_patch(Patch((written("a", b"0" * 8), written("b", b"0" * 8))), limits)


@pytest.mark.parametrize(
    "changes",
    [
        (written("link/x"),),
        (written("link/deep/x"),),
        (removed("link/x"),),
        (written("file/x"),),
        (written("folder"),),
        (written("folder"), removed("folder/one")),
        (written("new"), written("new/x")),
        (written("link"), written("link/x")),
        (written("link"), removed("link/x")),
    ],
)
def test_writing_through_a_link_or_over_the_other_kind_is_refused(
    changes: tuple[Change, ...],
) -> None:
    base = {"link": SYMLINK, "file": FILE, "folder/one": FILE, "folder/two": FILE}
    with pytest.raises(PatchError, match=r"through|over"):
        check_patch(Patch(changes), base=base)


@pytest.mark.parametrize(
    "changes",
    [
        (removed("link"),),
        (written("link"),),
        (removed("link"), written("link/x")),
        (removed("file"), written("file/x")),
        (removed("folder/one"), removed("folder/two"), written("folder")),
        (removed("folder/one"), written("folder/three")),
        (removed("never-there"),),
    ],
)
def test_replacing_a_link_a_file_or_a_folder_as_a_whole_is_fine(
    changes: tuple[Change, ...],
) -> None:
    base = {"link": SYMLINK, "file": FILE, "folder/one": FILE, "folder/two": FILE}
    check_patch(Patch(changes), base=base)


def test_parents_go_up_to_but_without_the_root() -> None:
    assert list(parents("a/b/c")) == ["a/b", "a"]
    assert list(parents("a")) == []
