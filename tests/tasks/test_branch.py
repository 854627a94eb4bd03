import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.patch import EXECUTABLE, FILE, Change, Patch, decode_path
from sandbox.trees import TreeStore
from tasks.branch import commit_on_branch, uncommitted_changes
from tasks.workspace import Prepared, prepare_base

LINES = "".join(f"line {number}\n" for number in range(1, 31))


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = Ann Author\nemail = ann@example.org\n")
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "EMAIL", "GIT_CONFIG_GLOBAL"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    git(tmp_path, "init", "-q", "-b", "main", str(folder))
    (folder / "code.py").write_text(LINES)
    (folder / "gone.txt").write_text("gone\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "tool").write_text("#!/bin/sh\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture
def prepare(top: Path, tmp_path: Path) -> Callable[[], Prepared]:
    return lambda: prepare_base(top, TreeStore.create(tmp_path / "store"))


def git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True
    ).stdout


def state_of(top: Path) -> tuple[bytes, bytes, bytes, bytes]:
    index = (top / ".git" / "index").read_bytes()
    head = (top / ".git" / "HEAD").read_bytes()
    return index, head, git(top, "rev-parse", "HEAD"), git(top, "status", "--porcelain")


PATCH = Patch(
    (
        Change("code.py", FILE, LINES.replace("line 3\n", "line three\n").encode()),
        Change("gone.txt", None, None),
        Change(decode_path(b"new/n\xefm"), EXECUTABLE, b"\x00\r\n"),
    )
)


def test_the_branch_is_head_plus_the_patch_and_nothing_else_moves(
    top: Path, prepare: Callable[[], Prepared]
) -> None:
    before = state_of(top)
    message = "Fix it\n\nA body — with ünïcode.\n\nGreenroom-Model: x\n"
    commit = commit_on_branch(top / "sub", prepare().base, PATCH, "fix/it", message)
    assert state_of(top) == before
    assert git(top, "rev-parse", "fix/it").decode().strip() == commit
    assert git(top, "rev-parse", "fix/it^").strip() == git(top, "rev-parse", "main").strip()
    changed = git(top, "diff", "--name-status", "-z", "main", "fix/it").split(b"\0")[:-1]
    assert changed == [b"M", b"code.py", b"D", b"gone.txt", b"A", b"new/n\xefm"]
    assert git(top, "cat-file", "blob", "fix/it:code.py") == PATCH.changes[0].content
    modes = git(top, "ls-tree", "-r", "fix/it").decode("utf-8", "replace")
    assert "100755 blob" in next(line for line in modes.splitlines() if "new/n" in line)
    told = git(top, "log", "-1", "--format=%an <%ae>|%cn|%B", "fix/it").decode()
    assert told.startswith("Ann Author <ann@example.org>|Ann Author|Fix it\n\nA body — with")
    assert "Greenroom-Model: x" in told


def test_uncommitted_changes_elsewhere_stay_out_of_the_branch(
    top: Path, prepare: Callable[[], Prepared]
) -> None:
    (top / "sub" / "tool").write_text("#!/bin/bash\n")
    (top / "untracked").write_text("mine")
    prepared = prepare()
    assert uncommitted_changes(top, prepared.base) == ("sub/tool", "untracked")
    commit_on_branch(top, prepared.base, PATCH, "fix", "m")
    assert git(top, "cat-file", "blob", "fix:sub/tool") == b"#!/bin/sh\n"
    assert b"untracked" not in git(top, "ls-tree", "-r", "--name-only", "fix")


def test_a_clean_checkout_has_no_uncommitted_changes(
    top: Path, prepare: Callable[[], Prepared]
) -> None:
    assert uncommitted_changes(top, prepare().base) == ()


def test_an_uncommitted_change_elsewhere_in_the_file_is_left_out(
    top: Path, prepare: Callable[[], Prepared]
) -> None:
    mine = LINES.replace("line 25\n", "line twenty-five\n")
    (top / "code.py").write_text(mine)
    new = mine.replace("line 3\n", "line three\n")
    patch = Patch((Change("code.py", FILE, new.encode()),))
    commit_on_branch(top, prepare().base, patch, "fix", "m")
    expected = LINES.replace("line 3\n", "line three\n").encode()
    assert git(top, "cat-file", "blob", "fix:code.py") == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"code.py": LINES.replace("line 3\n", "line III\n")},
        {"mine.py": "untracked\n"},
        {"gone.txt": None},
    ],
)
def test_a_patch_that_builds_on_uncommitted_changes_is_no_branch(
    top: Path, prepare: Callable[[], Prepared], changes: dict[str, str | None]
) -> None:
    for path, content in changes.items():
        if content is None:
            (top / path).unlink()
        else:
            (top / path).write_text(content)
    prepared = prepare()
    path = next(iter(changes))
    new = (changes[path] or "").replace("III", "three") + "more\n"
    patch = Patch((Change(path, FILE, new.encode()),))
    before = state_of(top)
    with pytest.raises(UsageError, match=f"builds on uncommitted changes.*{path}") as caught:
        commit_on_branch(top, prepared.base, patch, "fix", "m")
    assert "--apply" in caught.value.hint
    assert state_of(top) == before
    assert b"fix" not in git(top, "branch", "--list")


def test_line_endings_are_stored_as_the_repository_keeps_them(
    top: Path, prepare: Callable[[], Prepared]
) -> None:
    (top / ".gitattributes").write_text("*.bat text eol=crlf\n")
    (top / "run.bat").write_bytes(b"one\r\ntwo\r\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "crlf")
    patch = Patch((Change("run.bat", FILE, b"one\r\n2\r\n"),))
    commit_on_branch(top, prepare().base, patch, "fix", "m")
    assert git(top, "cat-file", "blob", "fix:run.bat") == b"one\n2\n"


@pytest.mark.parametrize("name", ["main", "a b", "-x", "x..y", "HEAD", "x.lock", "", "a/../b"])
def test_names_that_are_taken_or_invalid_are_refused(
    top: Path, prepare: Callable[[], Prepared], name: str
) -> None:
    before = git(top, "rev-parse", "main")
    with pytest.raises(UsageError, match=r"branch"):
        commit_on_branch(top, prepare().base, PATCH, name, "m")
    assert git(top, "rev-parse", "main") == before


def test_a_checkout_without_a_commit_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "fresh")
    (tmp_path / "fresh" / "a").write_text("x")
    prepared = prepare_base(tmp_path / "fresh", TreeStore.create(tmp_path / "trees"))
    patch = Patch((Change("a", FILE, b"y"),))
    with pytest.raises(UsageError, match="no commit yet"):
        commit_on_branch(tmp_path / "fresh", prepared.base, patch, "fix", "m")
    assert uncommitted_changes(tmp_path / "fresh", prepared.base) == ()


def test_without_an_identity_nothing_is_made_up(
    top: Path, prepare: Callable[[], Prepared], identity: Path
) -> None:
    (identity / ".gitconfig").unlink()
    with pytest.raises(UsageError, match="does not know who you are") as caught:
        commit_on_branch(top, prepare().base, PATCH, "fix", "m")
    assert "user.email" in caught.value.hint
    git(top, "config", "user.name", "Local")
    git(top, "config", "user.email", "local@example.org")
    commit_on_branch(top, prepare().base, PATCH, "fix", "m")
    assert git(top, "log", "-1", "--format=%an", "fix") == b"Local\n"


def test_the_identity_may_come_from_the_environment(
    top: Path, prepare: Callable[[], Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Eve Environment")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "eve@example.org")
    commit_on_branch(top, prepare().base, PATCH, "fix", "m")
    assert git(top, "log", "-1", "--format=%an|%cn", "fix") == b"Eve Environment|Ann Author\n"


def test_a_hostile_repository_starts_no_program(
    top: Path, prepare: Callable[[], Prepared], tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch '{ran}'\nexit 1\n")
    script.chmod(0o755)
    (top / ".gitattributes").write_text("* filter=evil\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "attributes")
    (top / "hooks").mkdir()
    for hook in ("reference-transaction", "post-index-change", "pre-commit", "post-commit"):
        (top / "hooks" / hook).symlink_to(script)
    for key in (
        *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "core.fsmonitor"),
        *("gpg.program", "core.editor", "core.alternateRefsCommand"),
    ):
        git(top, "config", key, str(script))
    git(top, "config", "commit.gpgSign", "true")
    git(top, "config", "core.splitIndex", "true")
    git(top, "config", "core.hooksPath", str(top / "hooks"))
    prepared = prepare()
    ran.unlink(missing_ok=True)
    commit_on_branch(top, prepared.base, PATCH, "fix", "m")
    assert not ran.exists()
    assert not list((top / ".git").glob("sharedindex.*"))


def test_sha256_repositories_work(tmp_path: Path) -> None:
    folder = tmp_path / "modern"
    git(tmp_path, "init", "-q", "--object-format=sha256", str(folder))
    (folder / "code.py").write_text(LINES)
    (folder / "gone.txt").write_text("gone\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    prepared = prepare_base(folder, TreeStore.create(tmp_path / "trees"))
    commit = commit_on_branch(folder, prepared.base, PATCH, "fix", "m")
    assert len(commit) == 64
    assert git(folder, "cat-file", "blob", "fix:code.py") == PATCH.changes[0].content
    assert uncommitted_changes(folder, prepared.base) == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files to another user")
def test_a_checkout_of_another_user_can_be_used(top: Path, prepare: Callable[[], Prepared]) -> None:
    subprocess.run(["chown", "-R", "1234:1234", str(top)], check=True)
    assert commit_on_branch(top, prepare().base, PATCH, "fix", "m")
