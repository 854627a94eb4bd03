import subprocess
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.trees import TreeStore
from tasks.revision import base_of_commit, merge_base, patch_between

LIMIT = 1 << 20


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=U", "-c", "user.email=u@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", folder, *identity, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "a repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
    (folder / "naïve.bin").write_bytes(b"\x00\xff")
    (folder / ".gitignore").write_text("out/\n")
    git(folder, "-c", "core.autocrlf=false", "add", "crlf.txt", "naïve.bin", ".gitignore")
    git(folder, "commit", "-qm", "first")
    (folder / ".gitattributes").write_text("*.txt text=auto export-ignore\n*.bin filter=evil\n")
    (folder / "new.txt").write_text("new")
    git(folder, "add", "new.txt")
    git(folder, "commit", "-qm", "second")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> TreeStore:
    return TreeStore.create(tmp_path / "store.git")


def test_a_commit_is_read_to_the_byte_whatever_the_work_tree_holds(
    repository: Path, store: TreeStore
) -> None:
    (repository / "crlf.txt").write_text("changed")
    base = base_of_commit(repository, store, "HEAD~1", limit_bytes=LIMIT, limit_files=99).base
    assert store.blob(base.tree, "crlf.txt") == b"one\r\ntwo\r\n"
    assert store.blob(base.tree, "naïve.bin") == b"\x00\xff"
    assert store.blob(base.tree, "new.txt") is None
    assert base.ignores("out/x")


def test_a_hostile_filter_is_not_run(repository: Path, store: TreeStore, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    git(repository, "config", "filter.evil.smudge", f"touch '{mark}'")
    git(repository, "config", "core.fsmonitor", f"touch '{mark}'")
    base_of_commit(repository, store, "HEAD", limit_bytes=LIMIT, limit_files=99)
    assert not mark.exists()


def test_the_patch_between_two_commits(repository: Path, store: TreeStore) -> None:
    base = base_of_commit(repository, store, "HEAD~1", limit_bytes=LIMIT, limit_files=99).base
    assert patch_between(repository, store, base, "HEAD").paths == ("new.txt",)


def test_three_dots_mean_where_two_branches_parted(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD~1")
    git(repository, "checkout", "-q", "-b", "side", "HEAD~1")
    git(repository, "commit", "-q", "--allow-empty", "-m", "side")
    assert merge_base(repository, "main", "side") == first


@pytest.mark.parametrize("name", ["nonsense", "--help", "", "HEAD:crlf.txt"])
def test_what_is_no_commit_is_said(repository: Path, store: TreeStore, name: str) -> None:
    with pytest.raises(UsageError, match="is not a commit"):
        base_of_commit(repository, store, name, limit_bytes=LIMIT, limit_files=99)


def test_a_commit_too_large_for_the_workspace_is_refused(
    repository: Path, store: TreeStore
) -> None:
    with pytest.raises(UsageError, match="at most 5 B are taken"):
        base_of_commit(repository, store, "HEAD", limit_bytes=5, limit_files=99)


def test_a_submodule_is_named_and_left_out(repository: Path, store: TreeStore) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    git(repository, "commit", "-qm", "module")
    revision = base_of_commit(repository, store, "HEAD", limit_bytes=LIMIT, limit_files=99)
    assert revision.notes == ("Submodules are left out: sub.",)


def test_excluded_files_are_in_no_commit(repository: Path, store: TreeStore) -> None:
    bounds = {"limit_bytes": LIMIT, "limit_files": 99, "exclude": ("new.txt",)}
    base = base_of_commit(repository, store, "HEAD~1", **bounds).base
    patch = patch_between(repository, store, base, "HEAD", exclude=("new.txt",))
    assert patch.paths == ()


def test_a_partial_clone_says_what_it_lacks(
    repository: Path, store: TreeStore, tmp_path: Path
) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "partial"
    address = f"file://{repository}"
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", address, str(clone))
    with pytest.raises(UsageError, match="is a partial clone") as caught:
        base_of_commit(clone, store, "HEAD", limit_bytes=LIMIT, limit_files=99)
    subprocess.run(caught.value.hint.removeprefix("Fetch them: "), shell=True, check=True)
    assert base_of_commit(clone, store, "HEAD", limit_bytes=LIMIT, limit_files=99).base.entries
