import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import PatchError, UsageError
from sandbox.patch import EXECUTABLE, FILE, Change, Patch
from sandbox.trees import TreeStore
from tasks.checkout import Applied, apply_to_checkout
from tasks.nofollow import CheckoutFiles
from tasks.workspace import Prepared, prepare_base

Snapshot = dict[str, tuple[int, bytes]]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    for path, content in {
        "code.py": "one\ntwo\n",
        "crlf.txt": "a\r\nb\r\n",
        "folder/inner/only.txt": "x\n",
        "other.txt": "other\n",
        "tool": "#!/bin/sh\n",
        "ünï cødé/a b": "…\n",
    }.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode())
    (folder / "tool").chmod(0o755)
    (folder / "link").symlink_to("other.txt")
    return folder


@pytest.fixture
def prepared(top: Path, tmp_path: Path) -> Prepared:
    return prepare_base(top, TreeStore.create(tmp_path / "store"))


@pytest.fixture
def apply(top: Path, prepared: Prepared) -> Callable[..., Applied]:
    def applied(*changes: Change) -> Applied:
        return apply_to_checkout(top, prepared.base, Patch(changes), prepared.fingerprint)

    return applied


def snapshot(top: Path) -> Snapshot:
    return {
        str(path.relative_to(top)): (
            path.lstat().st_mode,
            os.readlink(path).encode() if path.is_symlink() else path.read_bytes(),
        )
        for path in sorted(top.rglob("*"))
        if ".git" not in path.parts and (path.is_symlink() or path.is_file())
    }


def test_only_the_changed_files_are_written(top: Path, apply: Callable[..., Applied]) -> None:
    before = snapshot(top)
    untouched = (top / "other.txt").stat().st_mtime_ns
    result = apply(
        Change("code.py", FILE, b"one\n2\n"),
        Change("crlf.txt", FILE, b"a\r\nB\r\n"),
        Change("folder/inner/only.txt", None, None),
        Change("new/deep/file", EXECUTABLE, b"\x00\xff"),
        Change("ünï cødé/a b", FILE, b"\xff"),
    )
    after = snapshot(top)
    assert after["code.py"][1] == b"one\n2\n"
    assert after["crlf.txt"][1] == b"a\r\nB\r\n"
    assert after["new/deep/file"][1] == b"\x00\xff"
    assert after["ünï cødé/a b"][1] == b"\xff"
    assert os.access(top / "new/deep/file", os.X_OK)
    assert not (top / "folder").exists()
    for path in ("other.txt", "tool", "link"):
        assert after[path] == before[path]
    assert (top / "other.txt").stat().st_mtime_ns == untouched
    assert result.written == ("code.py", "crlf.txt", "new/deep/file", "ünï cødé/a b")
    assert result.removed == ("folder/inner/only.txt",)
    assert result.already == result.changed_meanwhile == ()


def test_permissions_are_kept_and_execution_follows_reading(
    top: Path, apply: Callable[..., Applied]
) -> None:
    (top / "code.py").chmod(0o640)
    (top / "tool").chmod(0o750)
    apply(Change("code.py", EXECUTABLE, b"1"), Change("tool", EXECUTABLE, b"2"))
    assert (top / "code.py").stat().st_mode & 0o777 == 0o750
    assert (top / "tool").stat().st_mode & 0o777 == 0o750


def test_execution_can_be_taken_away(top: Path, apply: Callable[..., Applied]) -> None:
    apply(Change("tool", FILE, b"#!/bin/sh\n"))
    assert (top / "tool").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "meddle",
    [
        lambda top: (top / "code.py").write_text("mine\n"),
        lambda top: (top / "code.py").unlink(),
        lambda top: (top / "code.py").chmod(0o755),
        lambda top: [(top / "code.py").unlink(), (top / "code.py").symlink_to("other.txt")],
        lambda top: [(top / "code.py").unlink(), (top / "code.py").mkdir()],
        lambda top: (top / "added").write_text("mine\n"),
        lambda top: (top / "added").mkdir() or (top / "added" / "x").write_text("mine"),
        lambda top: (top / "new").write_text("a file where a folder is to be\n"),
        lambda top: (top / "new").symlink_to(top.parent),
        lambda top: (top / "other.txt").write_text("mine\n"),
    ],
)
def test_nothing_is_written_when_a_touched_file_changed(
    top: Path, apply: Callable[..., Applied], meddle: Callable[[Path], object]
) -> None:
    meddle(top)
    before = snapshot(top)
    with pytest.raises(UsageError, match="nothing was applied") as caught:
        apply(
            Change("added", FILE, b"new\n"),
            Change("code.py", FILE, b"one\n2\n"),
            Change("new/file", FILE, b""),
            Change("other.txt", None, None),
            Change("tool", EXECUTABLE, b"#!/bin/bash\n"),
        )
    assert snapshot(top) == before
    assert caught.value.hint
    assert "tool" not in caught.value.message


def test_changes_of_other_files_meanwhile_are_reported(
    top: Path, apply: Callable[..., Applied]
) -> None:
    (top / "other.txt").write_text("mine\n")
    os.utime(top / "crlf.txt", (1, 1))
    result = apply(Change("code.py", FILE, b"new\n"))
    assert result.changed_meanwhile == ("other.txt",)
    assert (top / "other.txt").read_text() == "mine\n"
    assert (top / "code.py").read_text() == "new\n"


def test_applying_twice_changes_nothing_more(top: Path, apply: Callable[..., Applied]) -> None:
    changes = (
        Change("code.py", FILE, b"new\n"),
        Change("added", FILE, b"x"),
        Change("other.txt", None, None),
    )
    apply(*changes)
    before = snapshot(top)
    result = apply(*changes)
    assert result.written == result.removed == ()
    assert result.already == ("added", "code.py", "other.txt")
    assert snapshot(top) == before


def test_files_and_folders_take_each_others_place(top: Path, apply: Callable[..., Applied]) -> None:
    apply(
        Change("other.txt", None, None),
        Change("other.txt/now/a", FILE, b"folder\n"),
        Change("folder/inner/only.txt", None, None),
        Change("folder", FILE, b"file\n"),
        Change("link", None, None),
        Change("link/x", FILE, b"x\n"),
    )
    assert (top / "other.txt/now/a").read_text() == "folder\n"
    assert (top / "folder").read_text() == "file\n"
    assert (top / "link/x").read_text() == "x\n"


def test_a_folder_with_untracked_files_is_not_removed(
    top: Path, apply: Callable[..., Applied]
) -> None:
    (top / "folder/inner/mine.pyc").write_text("mine")
    with pytest.raises(UsageError, match=r"in the way.*folder/inner/mine\.pyc"):
        apply(Change("folder/inner/only.txt", None, None), Change("folder", FILE, b"file\n"))
    apply(Change("folder/inner/only.txt", None, None))
    assert (top / "folder/inner/mine.pyc").read_text() == "mine"


def test_a_replaced_link_does_not_change_its_target(
    top: Path, apply: Callable[..., Applied]
) -> None:
    apply(Change("link", FILE, b"now a file\n"))
    assert not (top / "link").is_symlink()
    assert (top / "other.txt").read_text() == "other\n"


def test_what_no_patch_may_do_is_refused(top: Path, apply: Callable[..., Applied]) -> None:
    for path in ("../up", ".git/hooks/pre-commit", "link/x"):
        with pytest.raises(PatchError):
            apply(Change(path, FILE, b"x"))
    assert not (top.parent / "up").exists()


def test_a_full_disk_changes_nothing_and_leaves_no_rest(
    top: Path, apply: Callable[..., Applied], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(top)
    real = CheckoutFiles.stage
    calls = []

    def fail_second(self: CheckoutFiles, path: str, content: bytes, permissions: int) -> str:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(self, path, content, permissions)

    monkeypatch.setattr(CheckoutFiles, "stage", fail_second)
    with pytest.raises(UsageError, match="No space left on device"):
        apply(
            Change("code.py", FILE, b"new\n"),
            Change("new/file", FILE, b"new\n"),
            Change("other.txt", None, None),
        )
    assert snapshot(top) == before
    assert not list(top.rglob(".greenroom-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for another user")
def test_what_root_writes_belongs_to_the_owner_of_the_folder(
    top: Path, apply: Callable[..., Applied]
) -> None:
    subprocess.run(["chown", "-R", "1234:1234", str(top)], check=True)
    apply(Change("code.py", FILE, b"new\n"), Change("new/file", FILE, b"x"))
    for path in ("code.py", "new", "new/file"):
        assert (top / path).stat().st_uid == 1234


def test_what_a_killed_process_left_goes_with_the_next_patch(
    top: Path, apply: Callable[..., Applied]
) -> None:
    stale = [top / ".greenroom-0123456789abcdef", top / "folder/.greenroom-0123456789abcdef"]
    for each in (*stale, top / ".greenroom-mine"):
        each.write_text("half")
    apply(Change("code.py", FILE, b"new"), Change("folder/inner/more.txt", FILE, b"x"))
    assert not stale[0].exists()
    assert (top / ".greenroom-mine").exists()


def test_only_one_process_writes_at_a_time(top: Path, apply: Callable[..., Applied]) -> None:
    busy = pytest.raises(UsageError, match="Another process is just applying")
    with CheckoutFiles(top) as other, other.locked(), busy:
        apply(Change("code.py", FILE, b"new"))
    apply(Change("code.py", FILE, b"new"))
