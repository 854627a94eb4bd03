import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.patch import EXECUTABLE, FILE, SYMLINK
from tasks.nofollow import CheckoutFiles

LINK = "Not a directory|symbolic links"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "top"
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("outside")
    return folder


@pytest.fixture
def files(top: Path) -> Iterator[CheckoutFiles]:
    with CheckoutFiles(top) as opened:
        yield opened


def test_states_tell_files_links_folders_and_nothing(top: Path, files: CheckoutFiles) -> None:
    (top / "file").write_text("abc")
    (top / "tool").write_text("")
    (top / "tool").chmod(0o750)
    (top / "folder").mkdir()
    (top / "link").symlink_to("nowhere")
    os.mkfifo(top / "pipe")
    modes = {}
    for name in ("file", "tool", "folder", "link", "pipe"):
        state = files.state(name)
        assert state is not None
        modes[name] = state.mode
        assert state.is_folder == (name == "folder")
    assert modes == {
        "file": FILE,
        "tool": EXECUTABLE,
        "folder": None,
        "link": SYMLINK,
        "pipe": None,
    }
    for nothing in ("gone", "gone/deeper", "file/deeper"):
        assert files.state(nothing) is None


def test_nothing_is_reached_through_a_link(top: Path, files: CheckoutFiles) -> None:
    (top / "link").symlink_to("../outside")
    assert files.state("link/file") is None
    for attempt in (
        lambda: files.read("link/file"),
        lambda: files.names("link"),
        lambda: files.remove("link/file"),
        lambda: files.make_folder("link/folder"),
    ):
        with pytest.raises(OSError, match=LINK):
            attempt()
    (top.parent / "outside" / "empty").mkdir()
    assert not files.remove_folder("link/empty")
    staged = files.stage("link/new", b"x", 0o666)
    assert "/" not in staged
    with pytest.raises(OSError, match=LINK):
        files.place(staged, "link/new")
    assert {path.name for path in (top.parent / "outside").iterdir()} == {"file", "empty"}


def test_a_link_reads_as_its_target_and_a_pipe_does_not_hang(
    top: Path, files: CheckoutFiles
) -> None:
    (top / "link").symlink_to("../outside/file")
    os.mkfifo(top / "pipe")
    (top / "folder").mkdir()
    assert files.read("link") == b"../outside/file"
    for path in ("pipe", "folder"):
        with pytest.raises(OSError, match=r"regular file|Is a directory"):
            files.read(path)


def test_placing_replaces_a_link_itself(top: Path, files: CheckoutFiles) -> None:
    (top / "link").symlink_to("../outside/file")
    files.place(files.stage("link", b"new", 0o644), "link")
    assert (top / "link").read_bytes() == b"new"
    assert not (top / "link").is_symlink()
    assert (top.parent / "outside" / "file").read_text() == "outside"


def test_new_files_follow_the_umask_and_given_permissions_do_not(
    top: Path, files: CheckoutFiles
) -> None:
    before = os.umask(0o027)
    try:
        for name, asked, got in (
            ("a", 0o666, 0o640),
            ("b", 0o777, 0o750),
            ("c", 0o604, 0o604),
        ):
            files.place(files.stage(name, b"", asked), name)
            assert (top / name).stat().st_mode & 0o777 == got
    finally:
        os.umask(before)


def test_a_folder_is_made_once_and_removed_when_empty(top: Path, files: CheckoutFiles) -> None:
    assert files.make_folder("one")
    assert not files.make_folder("one")
    (top / "one" / "file").write_text("")
    assert not files.remove_folder("one")
    files.remove("one/file")
    assert files.remove_folder("one")
    assert not files.remove_folder("one")
    assert files.state("one") is None
    # The folder that was kept open is gone: a new one under the same name is another.
    files.make_folder("one")
    files.place(files.stage("one/x", b"", 0o666), "one/x")
    assert (top / "one" / "x").exists()


def test_folders_that_change_meanwhile_are_seen(top: Path, files: CheckoutFiles) -> None:
    (top / "a").mkdir()
    (top / "a" / "x").write_text("1")
    assert files.read("a/x") == b"1"
    assert files.state("b") is None
    assert files.names("a") == ["x"]


def test_no_descriptor_is_leaked(top: Path) -> None:
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "x").write_text("1")
    before = len(os.listdir("/proc/self/fd"))
    with CheckoutFiles(top) as files:
        for path in ("a/b/x", "a", "a/b", "a/b/gone", "gone/gone", "a/b/x/deep"):
            files.state(path)
        with pytest.raises(FileNotFoundError):
            files.read("gone/file")
        files.place(files.stage("a/b/y", b"1", 0o666), "a/b/y")
    assert len(os.listdir("/proc/self/fd")) == before
